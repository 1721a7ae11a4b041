import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkout } from '../lab/index.ts'
import { ensureRay } from '../runtime/index.ts'

const DEMO = join(checkout, 'demo/ray/main.ts')
const runtime = ensureRay()

/** Runs the demo; `stopAt` is what it says when it gets a Ctrl-C. */
async function demo(args: readonly string[], stopAt?: RegExp) {
  const child = spawn(process.execPath, [DEMO, ...args], { cwd: checkout, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (stopAt?.test(said)) child.kill('SIGINT')
    })
  }
  const [code] = (await once(child, 'close')) as [number | null]
  const left = (await readdir(tmpdir())).filter((name) => name.startsWith(`ropewalk-lab-${child.pid}-`))
  return { code, said, left }
}

describe.skipIf(runtime === undefined)('npm run demo:ray', () => {
  test('proves that three workers computed, ends with 0 and leaves nothing behind', async () => {
    const { code, said, left } = await demo(['--once'])
    expect([code, said]).toEqual([0, expect.stringContaining('"example": "batch_inference"')])
    for (const name of ['worker-a', 'worker-b', 'worker-c']) {
      expect(said).toMatch(new RegExp(`proved\\S*  ${name} \\(100\\.[\\d.]+\\) classified \\d+ batches`))
    }
    expect(left).toEqual([])
  }, 180_000)

  test('stays up, and ends cleanly with Ctrl-C', async () => {
    const { code, said, left } = await demo([], /Ctrl-C ends everything/)
    expect([code, said, left]).toEqual([0, expect.stringMatching(/npx ropewalk job submit .* --state /), []])
  }, 180_000)

  test('ends with Ctrl-C in the middle of its start, and removes what is there', async () => {
    const { code, left } = await demo([], /starting three workers/)
    expect([code, left]).toEqual([130, []])
  }, 60_000)

  test('knows no other words', async () => {
    expect(await demo(['--twice'])).toMatchObject({
      code: 2,
      said: expect.stringContaining('npm run demo:ray -- --once'),
    })
  })
})
