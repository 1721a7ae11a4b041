import { execFileSync } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { encodeWith } from '@ropewalk/shared/codec'
import { MAX_GPUS, offer } from '@ropewalk/shared/runtime'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { memoryBytes } from './devices.ts'
import { parseGpus, probeGpus } from './gpus.ts'
import { probeDevices } from './index.ts'

const UUID = 'GPU-5b2c7a9e-0f7d-11ef-9262-0242ac120002'

let root: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropewalk-devices-'))
})

afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

describe('GPUs', () => {
  test("are read from nvidia-smi's table, and what is none is passed over", () => {
    const table = [
      `NVIDIA H200, 143771, ${UUID}`,
      `Tesla, model "T4", 15360, GPU-aaaaaaaa`,
      `NVIDIA GB10, [N/A], GPU-bbbbbbbb`,
      `NVIDIA H200, 143771, ${UUID}`, // a second time
      'NVIDIA H200, 143771, MIG-cccccccc',
      'No devices were found',
      '',
    ].join('\n')
    expect(parseGpus(table)).toEqual([
      { model: 'NVIDIA H200', memoryMiB: 143_771, uuid: UUID },
      { model: 'Tesla, model "T4"', memoryMiB: 15_360, uuid: 'GPU-aaaaaaaa' },
      { model: 'NVIDIA GB10', memoryMiB: 0, uuid: 'GPU-bbbbbbbb' },
    ])
  })

  test('whatever a table holds, what is read of it fits into an offer', () => {
    const base = { ray: '1', cpus: 1, memoryMiB: 1, diskGiB: 1, maxLeaseMinutes: 1, leases: 0 }
    const cell = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.constantFrom('GPU-00000000', '99999999999999', '-1'),
    )
    const line = fc
      .tuple(fc.string({ unit: 'binary', maxLength: 300 }), cell, fc.integer({ min: 0, max: 99 }), fc.boolean())
      .map(([model, memory, id, whole]) => `${model},${memory}${whole ? `,GPU-${String(id).padStart(8, '0')}` : ''}`)
    fc.assert(
      fc.property(fc.array(line, { maxLength: 100 }), (lines) => {
        const gpus = parseGpus(lines.join('\n'))
        expect(gpus.length).toBeLessThanOrEqual(MAX_GPUS)
        for (const { uuid } of gpus) expect(uuid).toMatch(/^GPU-[0-9a-f-]{8,64}$/)
        const { gpus: read } = offer.parse(offer.build({ ...base, gpus }), 'offer')
        expect(read).toEqual(gpus.map(({ model, memoryMiB }) => ({ model, memoryMiB })))
        encodeWith(offer, { ...base, gpus })
      }),
    )
  })

  test('a driver that is absent, fails or never stops talking is no GPU', async () => {
    for (const [name, script] of Object.entries({ fails: 'exit 9', endless: 'yes GPU', dies: 'kill -9 $$' })) {
      const command = join(root, name)
      await writeFile(command, `#!/bin/sh\n${script}\n`)
      await chmod(command, 0o755)
      expect(await probeGpus({ command }), name).toEqual([])
    }
    expect(await probeGpus({ command: join(root, 'absent') })).toEqual([])
    await expect(probeGpus({ command: join(root, 'endless'), signal: AbortSignal.abort() })).rejects.toThrow()
  })
})

test('a machine has what its operating system gives to this process', async () => {
  const devices = await probeDevices({ folder: join(root, 'not', 'there', 'yet') })
  expect(devices.cpus).toBe(availableParallelism())
  expect(devices.memoryMiB).toBeGreaterThan(0)
  expect(devices.memoryMiB).toBeLessThanOrEqual(totalmem() / 1_024 ** 2)
  const [, free] = execFileSync('df', ['--output=avail', '-B1', root], { encoding: 'utf8' }).trim().split('\n')
  expect(Math.abs(devices.diskGiB - Number(free) / 1_024 ** 3)).toBeLessThan(3)
})

test('a process that is kept to one core offers one, and a limit of memory counts where it is the smaller', () => {
  const script = `import { probeDevices } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))}
    console.log((await probeDevices({ folder: '/' })).cpus)`
  const words = ['-c', '0', process.execPath, '--input-type=module', '-e', script]
  expect(execFileSync('taskset', words, { encoding: 'utf8' })).toBe('1\n')
  expect(memoryBytes(100, 0)).toBe(100)
  expect(memoryBytes(100, 40)).toBe(40)
  expect(memoryBytes(100, 2 ** 63)).toBe(100)
})
