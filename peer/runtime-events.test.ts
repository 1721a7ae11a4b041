import type { Job } from '@ropewalk/shared/api'
import { runtimeDeltaSchema, runtimeSnapshotSchema } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createRuntimeEvents, type RuntimeEventsDependencies } from './runtime-events.ts'

type Parts = RuntimeEventsDependencies['runtime']

const job = (id: string, status: Job['status']) => ({
  id,
  status,
  entrypoint: 'true',
  exitCode: null,
  message: null,
  startedAtMs: 1,
  endedAtMs: null,
  metadata: {},
})
/** Clusters as the events see them; the real ones are in test/e2e. */
function actRuntime() {
  const heard = new Set<() => void>()
  const acted = {
    clusters: new Map<string, { phase: string; jobs: ReturnType<typeof job>[] | undefined }>(),
    asked: 0,
    change: () => {
      for (const listener of heard) listener()
    },
  }
  const clusters = {
    list: () =>
      [...acted.clusters].map(([name, { phase }]) => ({
        record: { name, createdAtMs: 1, notAfterMs: 2, events: [], workers: [] },
        phase,
      })),
    onChange: (listener: () => void) => {
      heard.add(listener)
      return () => heard.delete(listener)
    },
  }
  const jobs = {
    names: () => [...acted.clusters.keys()],
    of: (name: string) => ({
      list: async () => {
        acted.asked += 1
        const found = acted.clusters.get(name)?.jobs
        if (found === undefined) throw new RopewalkError('timeout', 'no answer')
        return found
      },
    }),
  }
  const desk = { leases: () => [], onChange: () => () => undefined }
  const runtime = { clusters, jobs, desk } as unknown as Parts
  const events = createRuntimeEvents({ runtime, discovery: { member: () => undefined }, epoch: 'e', nowMs: Date.now })
  return { acted, events }
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('tells what changed and no more, takes up again where a watcher was, and asks no head while nobody watches', async () => {
  const { acted, events } = actRuntime()
  await events.start()
  acted.clusters.set('one', { phase: 'creating', jobs: [job('a', 'running')] })
  acted.change()
  await vi.advanceTimersByTimeAsync(60_000)
  const first = runtimeSnapshotSchema.parse(events.snapshot())
  expect(first).toMatchObject({ sequence: 1, clusters: [{ name: 'one', state: 'creating' }], jobs: [] })
  expect(acted.asked).toBe(0)

  const told: unknown[] = []
  const leave = events.onDelta((delta) => told.push(runtimeDeltaSchema.parse(delta)))
  await vi.advanceTimersByTimeAsync(60_000)
  expect(told).toMatchObject([
    { since: 1, sequence: 2, clusters: { set: [] }, jobs: { set: [{ cluster: 'one', id: 'a' }], removed: [] } },
  ])
  acted.clusters.set('one', { phase: 'running', jobs: [job('a', 'succeeded')] })
  acted.change()
  await vi.advanceTimersByTimeAsync(4_000)
  expect(told.slice(1)).toMatchObject([
    { clusters: { set: [{ name: 'one', state: 'running' }] } },
    { clusters: { set: [] }, jobs: { set: [{ id: 'a', status: 'succeeded' }] } },
  ])
  expect(events.since({ epoch: 'e', sequence: 1 })).toEqual(told)
  expect(events.since({ epoch: 'e', sequence: 9 })).toBeUndefined()
  expect(events.since({ epoch: 'another', sequence: 1 })).toBeUndefined()

  leave()
  const before = acted.asked
  await vi.advanceTimersByTimeAsync(60_000)
  expect(acted.asked).toBe(before)
  await events.stop()
})

test('a head that is gone leaves its jobs as they were, and a cluster that is deleted takes them along', async () => {
  const { acted, events } = actRuntime()
  await events.start()
  acted.clusters.set('one', { phase: 'running', jobs: [job('a', 'running')] })
  acted.clusters.set('two', { phase: 'running', jobs: [] })
  events.onDelta(() => undefined)
  await vi.advanceTimersByTimeAsync(4_000)
  acted.clusters.set('one', { phase: 'degraded', jobs: undefined })
  await vi.advanceTimersByTimeAsync(4_000)
  expect(events.snapshot()).toMatchObject({
    clusters: [{ state: 'degraded' }, { state: 'running' }],
    jobs: [{ id: 'a' }],
    unasked: [{ cluster: 'one', code: 'timeout' }],
  })
  const told: unknown[] = []
  events.onDelta((delta) => told.push(delta))
  acted.clusters.delete('one')
  acted.change()
  await vi.advanceTimersByTimeAsync(100)
  expect(told).toMatchObject([
    { clusters: { removed: ['one'] }, jobs: { removed: ['one/a'] }, unasked: { removed: ['one'] } },
  ])
  await events.stop()
})
