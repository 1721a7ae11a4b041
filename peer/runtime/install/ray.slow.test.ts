import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runProgram } from '../../run-program.ts'
import { findRuntime } from './index.ts'

const ROPEWALK = join(dirname(dirname(import.meta.dirname)), 'bin', 'ropewalk.mjs')
const SQUARES = `
import ray
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
@ray.remote
def square(x): return x * x
print(ray.get([square.remote(x) for x in range(4)]))
ray.shutdown()
`

let root: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropewalk-ray-'))
})

afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

function ropewalk(words: readonly string[]) {
  const env = { ...process.env, ROPEWALK_STATE: root, ROPEWALK_RUNTIME: '' }
  return spawn(process.execPath, [ROPEWALK, 'runtime', ...words], { env, stdio: ['ignore', 'pipe', 'pipe'] })
}

test('Ray is installed for real: stopped in the middle, taken up again, and computing', async () => {
  const stopped = ropewalk(['install'])
  createInterface({ input: stopped.stderr }).on('line', (line) => {
    if (line.startsWith('fetching')) stopped.kill('SIGINT')
  })
  const [code] = await once(stopped, 'exit')
  expect(code).toBe(1)
  expect((await readdir(join(root, 'runtime'))).toSorted()).toEqual(['install.lock', 'install.log'])
  expect(await findRuntime(join(root, 'runtime'))).toBeUndefined()

  const startedMs = performance.now()
  const installing = ropewalk(['install', '-o', 'json'])
  installing.stderr.resume()
  const result = JSON.parse(await text(installing.stdout))
  console.log(`${Math.round((performance.now() - startedMs) / 1_000)} s, ${result.runtime?.sizeBytes} bytes`)
  expect(result).toMatchObject({ version: 1, changed: true, runtime: { rayVersion: '2.60.0' } })
  expect(JSON.parse(await text(ropewalk(['status', '-o', 'json']).stdout))).toMatchObject({
    installed: result.runtime,
    hint: null,
  })

  const runtime = await findRuntime(join(root, 'runtime'))
  expect(runtime).toEqual(result.runtime)
  // it keeps a token in its home
  const env = { ...process.env, RAY_USAGE_STATS_ENABLED: '0', RAY_TMPDIR: root, HOME: root }
  const ran = await runProgram(runtime?.python ?? '', ['-I', '-c', SQUARES], { timeoutMs: 120_000, env })
  expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining('[0, 1, 4, 9]') })
  const version = await runProgram(runtime?.python ?? '', ['-I', '-m', 'ray.scripts.scripts', '--version'], {
    timeoutMs: 60_000,
  })
  expect(version.stdout).toContain('version 2.60.0')
}, 600_000)
