import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findPython } from './python.ts'

let root: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropewalk-python-'))
  await chmod(root, 0o755)
})

afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

/** A program in Python's place, which may say anything. */
async function claims(name: string, says: object | string, mode = 0o755): Promise<string> {
  const path = join(root, name)
  const usual = { executable: path, version: [3, 12, 1], base: root, venv: true, usual: true }
  const text = typeof says === 'string' ? says : `echo '${JSON.stringify({ ...usual, ...says })}'`
  await mkdir(join(path, '..'), { recursive: true })
  await writeFile(path, `#!/bin/sh\n${text}\n`)
  await chmod(path, mode)
  return path
}

const named = (path: string) => findPython({ named: path, env: {}, forOthers: true })

test("this machine's own Python is found first, and others can run it", async () => {
  const python = await findPython({ env: process.env, forOthers: true })
  expect(python).toMatchObject({ venv: true, usual: true, open: true })
  expect(python.version[0]).toBe(3)
})

test('a named one is taken, by its path or by its name on the PATH, or refused with the reason', async () => {
  const path = await claims('bin/python3.12', {})
  expect(await named(path)).toMatchObject({ version: [3, 12, 1], open: true })
  const env = { PATH: `relative:${join(root, 'bin')}` }
  expect(await findPython({ named: 'python3.12', env, forOthers: true })).toMatchObject({ path })
  await expect(named(await claims('old', { version: [3, 9, 18] }))).rejects.toMatchObject({ code: 'unsupported' })
  await expect(named(await claims('new', { version: [3, 14, 0] }))).rejects.toMatchObject({ code: 'unsupported' })
  await expect(named(await claims('free', { usual: false }))).rejects.toMatchObject({ code: 'unsupported' })
  await expect(named(await claims('bare', { venv: false }))).rejects.toMatchObject({
    code: 'missing-tool',
    hint: 'apt-get install python3-venv',
  })
  expect(await named(await claims('private', {}, 0o700))).toMatchObject({ open: false })
})

test('what is no Python is no Python, whatever it says', async () => {
  for (const [name, says] of Object.entries({
    silent: ':',
    fails: 'exit 3',
    garbage: 'echo "{\\"version\\": 3}"',
    endless: 'yes',
    dies: 'kill -9 $$',
  })) {
    await expect(named(await claims(name, says)), name).rejects.toMatchObject({ code: 'missing-tool' })
  }
  for (const path of [join(root, 'none'), root, '/dev/null', '/etc/passwd', 'python\u0000']) {
    await expect(named(path)).rejects.toMatchObject({ code: 'missing-tool' })
  }
})
