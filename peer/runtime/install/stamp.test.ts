import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CORPUS } from '@ropewalk/shared/hostile'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findRuntime, runtimeFolder } from './index.ts'
import { type Stamp, writeStamp } from './stamp.ts'

let folder: string

const stamp: Stamp = {
  version: 1,
  environment: 'ray-2.60.0-01234567',
  ray: '2.60.0',
  python: '3.11.2',
  base: '/usr',
  requirements: 'ab'.repeat(32),
  sizeBytes: 400_000_000,
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ropewalk-stamp-'))
  await mkdir(join(folder, stamp.environment, 'bin'), { recursive: true })
  await symlink(process.execPath, join(folder, stamp.environment, 'bin', 'python'))
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

test('a stamp says where the runtime is', async () => {
  expect(await findRuntime(folder)).toBeUndefined()
  await writeStamp(folder, stamp)
  expect(await findRuntime(folder)).toEqual({
    folder: join(folder, 'ray-2.60.0-01234567'),
    python: join(folder, 'ray-2.60.0-01234567', 'bin', 'python'),
    rayVersion: '2.60.0',
    pythonVersion: '3.11.2',
    base: '/usr',
    sizeBytes: 400_000_000,
  })
})

test('a stamp that makes no sense is none, and never leads out of the folder', async () => {
  const write = (content: string | Uint8Array) => writeFile(join(folder, 'runtime.json'), content)
  const changes = [
    { version: 2 },
    { environment: '..' },
    { environment: 'ray-1/../../x-01234567' },
    { environment: 'ray-2.60.0-76543210' }, // not there
    { ray: 7 },
    { requirements: 'no' },
    { base: 'x'.repeat(20_000) },
  ]
  for (const change of changes) {
    await write(JSON.stringify({ ...stamp, ...change }))
    expect(await findRuntime(folder), JSON.stringify(change).slice(0, 80)).toBeUndefined()
  }
  for (const raw of [...CORPUS, Buffer.from(JSON.stringify(stamp)).subarray(0, 50)]) {
    await write(raw)
    expect(await findRuntime(folder)).toBeUndefined()
  }
  await fc.assert(
    fc.asyncProperty(fc.json(), fc.string(), async (json, environment) => {
      await write(json)
      expect(await findRuntime(folder)).toBeUndefined()
      await write(JSON.stringify({ ...stamp, environment }))
      expect(await findRuntime(folder)).toBeUndefined()
    }),
    { numRuns: 200 },
  )
})

test('the folder is the named one, else within the state folder', () => {
  expect(runtimeFolder('/state', {})).toBe('/state/runtime')
  expect(runtimeFolder('/state', { ROPEWALK_RUNTIME: '' })).toBe('/state/runtime')
  expect(runtimeFolder('/state', { ROPEWALK_RUNTIME: '/opt/ray/' })).toBe('/opt/ray')
})
