import { PassThrough, Writable } from 'node:stream'
import { CORPUS, heldBytes } from '@ropewalk/shared/hostile'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { runProgram } from './program.ts'
import { ropewalk } from './ropewalk.ts'

/** Nobody can make a folder there: a command line that happens to make sense has nothing to work on. */
const NOWHERE = '/proc/none/state'

const WORDS = [
  ...ropewalk.commands.flatMap(({ name }) => name.split(' ')),
  ...'--ticket --ticket-file --name --rootless --listen-port --expose --tun-name --tag --uses --via --expires --admit'.split(
    ' ',
  ),
  ...'--relay --public-host --https-port --ipv4-prefix -o json table --timeout --log-level -c -- --wait --socks --scope'.split(
    ' ',
  ),
  ...'0 -1 65536 1e99 NaN 10s 99d - = a=b ssh=22 web=99999 10.0.0.0/8 ::/0 worker-a ropewalk1: https://[ /ip4/x'.split(
    ' ',
  ),
]
const word = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...WORDS) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...CORPUS.map((raw) => Buffer.from(raw.subarray(0, 2_000)).toString('latin1'))),
  },
)
const argv = fc.tuple(
  fc.constantFrom(...ropewalk.commands.map(({ name }) => name.split(' '))),
  fc.array(word, { maxLength: 6 }),
)

/** As if Ctrl-C was pressed already: what would wait for a peer does not. */
const stopped = AbortSignal.abort()

async function run(words: readonly string[]): Promise<{ code: number; said: string }> {
  let said = ''
  const sink = (): Writable =>
    new Writable({
      write(chunk, _encoding, done) {
        said += String(chunk)
        done()
      },
    })
  const stdin = new PassThrough()
  stdin.end()
  const env = { HOME: NOWHERE, ROPEWALK_STATE: NOWHERE }
  const io = { stdin, stdout: sink(), stderr: sink(), env, userId: 1_000, signal: stopped }
  const code = await runProgram({ ...ropewalk, version: '0' }, words, io)
  return { code, said }
}

test('twenty thousand command lines that make no sense end with a sentence, a code and no stack', async () => {
  const shots = fc.sample(argv, { numRuns: 20_000, seed: 11 })
  let before = 0
  for (const [index, [command, rest]] of shots.entries()) {
    const words = [...command, ...rest]
    const shown = JSON.stringify(words).slice(0, 500)
    const slow = setTimeout(() => console.warn(`still running: ${shown}`), 2_000)
    const { code, said } = await run(words)
    clearTimeout(slow)
    expect([0, 2, 3, 1, 4, 5], shown).toContain(code)
    expect(said, shown).not.toMatch(/\n\s+at .*:\d+:\d+/)
    expect(said, shown).not.toContain('[internal]')
    if (index === 2_000) before = heldBytes()
  }
  expect(heldBytes() - before).toBeLessThan(16 * 1_024 * 1_024)
}, 300_000)
