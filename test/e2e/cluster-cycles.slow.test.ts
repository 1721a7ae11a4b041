import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ensureRay } from '../runtime/index.ts'
import { openHiringWorld } from './hiring-world.ts'
import { type MeshWorld, WORKERS } from './mesh-world.ts'

const CYCLES = 20
/** What a peer may have grown in that many: its heap breathes by more than one cycle costs. */
const MOST_GROWN_MIB = 64
const PEERS = [...WORKERS.slice(0, 2), 'engineer'] as const
const runtime = ensureRay()

let mesh: MeshWorld

/** Everything of a worker that a lease touches. */
async function stateOf(name: string): Promise<Record<string, string>> {
  const said = async (...words: string[]) => (await mesh.node(name).exec('sh', ['-c', words.join(' ')])).stdout
  const state = mesh.state(name)
  return {
    processes: await said('ps -eo user=,args= | grep -v "ps -eo" | grep -v grep | sort'),
    rules: await said('nft list ruleset'),
    groups: await said('find /sys/fs/cgroup -maxdepth 4 -name "*ropewalk*" | sort'),
    shared: await said('ls -A /dev/shm /tmp | grep -v "^ropewalk-lab" | sort'),
    folders: (await readdir(state, { recursive: true })).toSorted().join('\n'),
    listens: await said('ss -Hlntu | sort'),
  }
}

async function memoryMiB(name: string): Promise<number> {
  const { stdout } = await mesh.node(name).exec('pgrep', ['-f', `up .*--state ${mesh.state(name)}`])
  const [pid] = stdout.trim().split('\n')
  const status = await mesh.node(name).exec('cat', [`/proc/${pid}/status`])
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status.stdout)?.[1]) / 1_024
}

async function cycle(): Promise<number> {
  const startedAt = performance.now()
  const words = ['--on', WORKERS.slice(0, 2).join(','), '--cpus', '1', '--memory', '2GiB', '--for', '30m']
  await mesh.ropewalk('engineer', ['cluster', 'create', 'one', ...words], { timeoutMs: 120_000 })
  const ms = performance.now() - startedAt
  await mesh.ropewalk('engineer', ['cluster', 'delete', 'one'], { timeoutMs: 60_000 })
  return ms
}

describe.skipIf(runtime === undefined)('clusters made and given back', () => {
  beforeAll(async () => {
    mesh = await openHiringWorld()
  }, 180_000)

  afterAll(async () => {
    await mesh?.[Symbol.asyncDispose]()
  }, 60_000)

  test(`leave ${CYCLES} times nothing behind: no process, rule, group, folder, port or memory`, async () => {
    await cycle() // what is made once and kept
    const before = await Promise.all(PEERS.map(stateOf))
    const memoryBefore = await Promise.all(PEERS.map(memoryMiB))
    const times: number[] = []
    for (let count = 0; count < CYCLES; count++) times.push(await cycle())
    expect(await Promise.all(PEERS.map(stateOf))).toEqual(before)
    const memoryAfter = await Promise.all(PEERS.map(memoryMiB))
    const grown = memoryAfter.map((after, index) => after - (memoryBefore[index] ?? 0))
    const median = times.toSorted((a, b) => a - b)[CYCLES / 2] ?? 0
    console.log(
      `two nodes were alive after ${(median / 1_000).toFixed(1)} s (median of ${CYCLES}); ${PEERS.map((name, index) => `${name} grew by ${grown[index]?.toFixed(0)} MiB`).join(', ')}`,
    )
    for (const mib of grown) expect(mib).toBeLessThan(MOST_GROWN_MIB)
  }, 900_000)
})
