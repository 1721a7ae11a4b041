import { join } from 'node:path'
import type { ClusterView } from '@ropewalk/shared/api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LabProcess } from '../lab/index.ts'
import { ensureRay } from '../runtime/index.ts'
import { openHiringWorld } from './hiring-world.ts'
import type { MeshWorld } from './mesh-world.ts'

const PROGRAMS = join(import.meta.dirname, 'programs')
const [SHARED, FIRST, SECOND] = ['worker-a', 'engineer', 'worker-c'] as const
const runtime = ensureRay()

/** What programs/neighbour.py says. */
interface Seen {
  readonly ports: string[]
  readonly marks: string[]
  readonly users: number[]
  readonly user: number
}

let mesh: MeshWorld
let tenant: LabProcess

const hire = (hirer: string, name: string) =>
  mesh.ropewalk(hirer, ['cluster', 'create', name, '--on', SHARED, '--cpus', '1', '--memory', '2GiB', '--for', '30m'], {
    timeoutMs: 120_000,
  })
const submit = (...words: string[]) => ['job', 'submit', '--working-dir', PROGRAMS, '--', 'python', ...words]
const look = async (hirer: string, words: readonly string[]): Promise<Seen> => {
  const { stdout } = await mesh.ropewalk(hirer, submit('neighbour.py', ...words), { timeoutMs: 60_000 })
  return JSON.parse(/^\{.*\}$/m.exec(stdout)?.[0] ?? '') as Seen
}

describe.skipIf(runtime === undefined)('two tenants on one worker', () => {
  beforeAll(async () => {
    mesh = await openHiringWorld([FIRST, SECOND])
    await Promise.all([hire(FIRST, 'first'), hire(SECOND, 'second')])
  }, 180_000)

  afterAll(async () => {
    await mesh?.[Symbol.asyncDispose]()
  }, 60_000)

  test('see neither each other’s ports nor files nor processes', async () => {
    tenant = mesh.spawn(FIRST, submit('tenant.py'))
    await tenant.says(/^\{.*\}$/m)
    const { ports: own } = JSON.parse(/^\{.*\}$/m.exec(tenant.output())?.[0] ?? '') as { ports: number[] }
    const { cluster } = await mesh.json<{ cluster: ClusterView }>(FIRST, ['cluster', 'show', 'first'])
    const address = cluster.workers[0]?.address ?? ''
    const { leases } = await mesh.json<{ leases: { cluster: string; firstPort: number }[] }>(SHARED, [
      'runtime',
      'leases',
    ])
    const first = leases.find((lease) => lease.cluster === 'first')?.firstPort ?? 0
    const block = Array.from({ length: 100 }, (_, index) => first + index)
    const words = [address, ...[...block, ...own].map(String)]

    const inside = await look(FIRST, words)
    expect(inside.ports.length).toBeGreaterThan(8) // or the next line would say nothing
    expect(inside.marks.length).toBeGreaterThan(1)
    expect(inside.users).toEqual([0, inside.user]) // the first process of its namespace, which reaps, is root's

    const beside = await look(SECOND, words)
    expect({ ports: beside.ports, marks: beside.marks }).toEqual({ ports: [], marks: [] })
    expect(beside.users).toEqual([0, beside.user])
    expect(beside.user).not.toBe(inside.user)
  }, 120_000)

  test('do not get the same cores, even at once', async () => {
    const both = [FIRST, SECOND].map((hirer) =>
      mesh.ropewalk(hirer, ['cluster', 'create', 'whole', '--on', 'worker-b', '--cpus', '2', '--memory', '2GiB'], {
        mayFail: true,
        timeoutMs: 120_000,
      }),
    )
    const ends = await Promise.all(both)
    expect(ends.map(({ code }) => code).toSorted()).toEqual([0, 1])
    const [winner = '', loser] = ends[0]?.code === 0 ? [FIRST, ends[1]] : [SECOND, ends[0]]
    expect(loser?.stderr).toMatch(/worker-b refused: 0 of 2 cores are free here/)
    await mesh.ropewalk(winner, ['cluster', 'delete', 'whole'], { timeoutMs: 60_000 })
    const long = ['cluster', 'create', 'long', '--on', 'worker-b', '--for', '400d']
    const { code, stderr } = await mesh.ropewalk(FIRST, long, { mayFail: true, timeoutMs: 60_000 })
    expect([code, stderr]).toEqual([expect.any(Number), expect.stringMatching(/at most \d+ minutes|\[bad-/)])
  }, 180_000)

  test('do not end with each other', async () => {
    await mesh.ropewalk(SECOND, ['cluster', 'delete', 'second'], { timeoutMs: 60_000 })
    const { cluster } = await mesh.json<{ cluster: ClusterView }>(FIRST, ['cluster', 'show', 'first'])
    expect(cluster.workers.map(({ state }) => state)).toEqual(['running'])
    expect((await look(FIRST, ['127.0.0.1'])).marks.length).toBeGreaterThan(1)
    await mesh.ropewalk(FIRST, ['cluster', 'delete', 'first'], { timeoutMs: 60_000 })
    expect((await tenant.ended).code).not.toBe(0)
  }, 120_000)
})
