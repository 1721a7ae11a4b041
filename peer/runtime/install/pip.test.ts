import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runProgram } from '../../run-program.ts'
import { followPip, type Progress, pipEnvironment, pipInstall } from './pip.ts'
import { pipFailure } from './pip-failure.ts'
import { buildRay, buildWheel, onlyFrom } from './test-wheel.ts'

let root: string
let python: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropewalk-pip-'))
  const made = await runProgram('/usr/bin/python3', ['-I', '-m', 'venv', join(root, 'venv')], { timeoutMs: 60_000 })
  expect(made.code).toBe(0)
  python = join(root, 'venv', 'bin', 'python')
}, 90_000)

afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

async function pip(requirements: string, env: Record<string, string | undefined>): Promise<void> {
  const logFile = join(root, 'install.log')
  await pipInstall({
    python,
    requirements,
    packages: 2,
    env: pipEnvironment(env, root),
    logFile,
    timeoutMs: 60_000,
    signal: undefined,
    progress: () => {},
  })
}

describe('what pip cannot install', () => {
  test('a package that is not the one that was pinned', async () => {
    const folder = join(root, 'changed')
    const file = await buildRay(folder)
    await buildWheel(folder, { name: 'strand', version: '1.0', source: 'print("somebody else")\n' })
    await expect(pip(file, onlyFrom(folder))).rejects.toMatchObject({ code: 'hash-mismatch', hint: expect.any(String) })
    expect(await readFile(join(root, 'install.log'), 'utf8')).toContain('DO NOT MATCH THE HASHES')
  })

  test('a package that is not pinned at all', async () => {
    const folder = join(root, 'more')
    const file = await buildRay(folder)
    await writeFile(file, await buildWheel(folder, { name: 'ray', version: '0.1.0', needs: 'strand' }))
    await expect(pip(file, onlyFrom(folder))).rejects.toMatchObject({ code: 'hash-mismatch' })
  })

  test('a package that there is not for this machine', async () => {
    const folder = join(root, 'foreign')
    const file = join(root, 'foreign.txt')
    await writeFile(file, await buildWheel(folder, { name: 'ray', version: '0.1.0', tag: 'cp27-cp27m-win32' }))
    await expect(pip(file, onlyFrom(folder))).rejects.toMatchObject({ code: 'unsupported' })
  })

  test('an index that does not answer', async () => {
    const file = await buildRay(join(root, 'index'))
    const { PIP_NO_INDEX: _index, PIP_FIND_LINKS: _links, ...env } = onlyFrom(root)
    const closed = { ...env, PIP_INDEX_URL: 'http://127.0.0.1:1/simple', PIP_RETRIES: '1' }
    await expect(pip(file, closed)).rejects.toMatchObject({ code: 'unreachable' })
  })
})

test('a full disk and whatever else pip says become a code and a short sentence', () => {
  const full = [
    'Collecting ray',
    'ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device',
  ]
  expect(pipFailure(full, 'log')).toMatchObject({ code: 'disk-full' })
  expect(pipFailure([], 'log')).toMatchObject({ code: 'install-failed', hint: 'see log' })
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 5_000 }), { maxLength: 20 }), (lines) => {
      const { message } = pipFailure(lines, 'log')
      expect(message.length).toBeLessThan(500)
      expect(message).toMatch(/^[\x20-\x7e]*$/)
    }),
  )
})

test("pip's lines become progress that never runs backwards", () => {
  const seen: Progress[] = []
  const follow = followPip(3, (progress) => seen.push(progress))
  for (const line of [
    "Ignoring tzdata: markers 'sys_platform == \"win32\"' don't match your environment",
    'Collecting ray[default]==2.60.0',
    '  Downloading ray-2.60.0-cp311-cp311-manylinux2014_x86_64.whl (70.1 MB)',
    'Collecting click==8.1.8',
    '  Using cached click-8.1.8-py3-none-any.whl (98 kB)',
    'Processing /wheels/strand-1.0-py3-none-any.whl',
    'Installing collected packages: click, ray',
  ])
    follow(line)
  expect(seen).toEqual([
    { step: 'fetch', done: 1, total: 2, what: 'ray' },
    { step: 'fetch', done: 1, total: 2, what: 'ray-2.60.0-cp311-cp311-manylinux2014_x86_64.whl, 70.1 MB' },
    { step: 'fetch', done: 2, total: 2, what: 'click' },
    { step: 'fetch', done: 2, total: 2, what: 'click-8.1.8-py3-none-any.whl, 98 kB' },
    { step: 'fetch', done: 3, total: 3, what: 'strand-1.0-py3-none-any.whl' },
    { step: 'unpack', total: 2 },
  ])
  const line = fc.oneof(
    fc.constantFrom('Collecting a', 'Ignoring b', 'Collecting \u0000', '  Downloading x (1 MB)'),
    fc.string({ unit: 'binary', maxLength: 200 }),
  )
  fc.assert(
    fc.property(fc.array(line, { maxLength: 60 }), (lines) => {
      let last = 0
      const follow = followPip(5, (progress) => {
        if (progress.step !== 'fetch') return
        expect(progress.done).toBeGreaterThanOrEqual(last)
        expect(progress.done).toBeLessThanOrEqual(progress.total)
        expect(progress.what).toMatch(/^[\x20-\x7e]{1,320}$/)
        last = progress.done
      })
      lines.forEach(follow)
    }),
  )
})

test("a user's own habits do not reach pip, mirrors and certificates do", () => {
  const env = {
    PIP_TARGET: '/x',
    PIP_USER: '1',
    PYTHONPATH: '/x',
    PIP_INDEX_URL: 'http://127.0.0.1',
    PIP_CERT: '/c',
    PATH: '/bin',
  }
  expect(pipEnvironment(env, '/tmp/t')).toEqual({
    PIP_INDEX_URL: 'http://127.0.0.1',
    PIP_CERT: '/c',
    PATH: '/bin',
    TMPDIR: '/tmp/t',
    LC_ALL: 'C.UTF-8',
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
  })
})
