import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { parseName } from '@ropewalk/shared/identity'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createNetwork, openState, requireNetwork } from '../state/index.ts'
import { runProgram } from './program.ts'
import { ropewalk } from './ropewalk.ts'

let root: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropewalk-runtime-'))
})

afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

/** A command line of `ropewalk runtime`, in this process. */
async function run(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const [stdin, stdout, stderr] = [new PassThrough().end(), new PassThrough(), new PassThrough()]
  const env = { PATH: process.env.PATH, HOME: root, ROPEWALK_STATE: join(root, 'var', 'state') }
  const io = { stdin, stdout, stderr, env, userId: 1_000, signal: new AbortController().signal }
  const said = Promise.all([text(stdout), text(stderr)])
  const code = await runProgram({ ...ropewalk, version: '0' }, ['runtime', ...words], io)
  stdout.end()
  stderr.end()
  const [out, err] = await said
  return { code, out, err }
}

test('a status without runtime and peer says what this machine has, and the next step', async () => {
  const { code, out } = await run('status', '-o', 'json')
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({
    version: 1,
    installed: null,
    devices: { cpus: expect.any(Number), memoryMiB: expect.any(Number), gpus: expect.any(Array) },
    link: null,
    hint: 'ropewalk runtime install',
  })
  expect((await run('status')).out).toMatch(
    /^No runtime is installed in .*\n {2}try: ropewalk runtime install\n\d+ cores, /,
  )
  expect(await run('status', '--measure')).toMatchObject({
    code: 3,
    out: '',
    err: expect.stringContaining('[not-running]'),
  })
})

test('an installation that cannot be says why, and leaves the state folder to its owner alone', async () => {
  const { code, out, err } = await run('install', '--python', '/dev/null', '-o', 'json')
  expect(code).toBe(1)
  expect(JSON.parse(out)).toMatchObject({ version: 1, error: { code: 'missing-tool', hint: expect.any(String) } })
  expect(err).toMatch(/^error: \/dev\/null is not a Python that can be run \[missing-tool\]\n {2}try: /)
  expect((await stat(join(root, 'var', 'state'))).mode & 0o777).toBe(0o700)
  expect((await run('install', '--timeout', 'never')).code).toBe(2)
  // a network is made there afterwards as in an empty one
  const state = await openState(join(root, 'var', 'state'))
  await createNetwork(state, { name: parseName('test'), nowMs: Date.now() })
  expect((await requireNetwork(state)).name).toBe('test')
})
