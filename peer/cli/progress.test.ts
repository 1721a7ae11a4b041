import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { progressLine } from './progress.ts'

/** What is shown of these states on a stream of this kind. */
function shown(stream: { isTTY?: boolean; columns?: number }, states: readonly (readonly [string, string])[]): string {
  const stderr = Object.assign(new PassThrough(), stream)
  {
    using line = progressLine({ stderr })
    for (const [step, sentence] of states) line.show(step, sentence)
  }
  return String(stderr.read() ?? '')
}

const STATES = [
  ['fetch', 'fetching 1 of 2'],
  ['fetch', 'fetching 2 of 2'],
  ['unpack', 'unpacking'],
] as const

test('progress is lines where nobody looks, and one line a step where somebody does, as wide as the terminal', () => {
  expect(shown({}, STATES)).toBe('fetching 1 of 2\nunpacking\n')
  expect(shown({ isTTY: true, columns: 0 }, STATES)).toBe(
    '\r\x1b[Kfetching 1 of 2 0 s\r\x1b[Kfetching 2 of 2 0 s\n\r\x1b[Kunpacking 0 s\n',
  )
  const drawn = shown({ isTTY: true, columns: 16 }, STATES).split(/[\r\n]/)
  for (const line of drawn) expect(line.replace('\x1b[K', '').length).toBeLessThan(16)
  expect(shown({ isTTY: true }, [])).toBe('')
})
