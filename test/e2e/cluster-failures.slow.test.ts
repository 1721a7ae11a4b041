import { join } from 'node:path'
import { setTimeout as pass } from 'node:timers/promises'
import type { ClusterView } from '@ropewalk/shared/api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../lab/index.ts'
import { ensureRay } from '../runtime/index.ts'
import { offers, openHiringWorld } from './hiring-world.ts'
import { type MeshWorld, WORKERS } from './mesh-world.ts'

const PROGRAMS = join(import.meta.dirname, 'programs')
const [HEAD, OTHER, SPARE] = WORKERS
/** A worker that has not answered for 75 s is lost; then another is hired and Ray starts there. */
const REPLACED_MS = 120_000
const runtime = ensureRay()

let mesh: MeshWorld

const engineer = (...args: string[]) => mesh.ropewalk('engineer', args, { timeoutMs: 120_000 })
const cluster = async () => (await mesh.json<{ cluster: ClusterView }>('engineer', ['cluster', 'show', 'one'])).cluster
const submit = (...words: string[]) =>
  mesh.spawn('engineer', ['job', 'submit', '--cluster', 'one', '--working-dir', PROGRAMS, '--', 'python', ...words])

/** A job that loses nothing while something is wrong for so long. */
async function loses(what: { readonly during: () => Promise<unknown>; readonly seconds: number }): Promise<void> {
  const job = submit('steady.py', String(what.seconds))
  await job.says(/ready on 2 nodes/)
  await what.during()
  const { code } = await job.ended
  expect([code, job.output()]).toEqual([0, expect.stringMatching(/"same": true/)])
  expect((await cluster()).workers.map(({ name, state }) => [name, state])).toEqual([
    [HEAD, 'running'],
    [OTHER, 'running'],
  ])
}

describe.skipIf(runtime === undefined)('a cluster when something breaks', () => {
  beforeAll(async () => {
    mesh = await openHiringWorld()
    const words = ['--on', `${HEAD},${OTHER}`, '--cpus', '1', '--memory', '3GiB', '--for', '1h']
    await engineer('cluster', 'create', 'one', ...words)
  }, 180_000)

  afterAll(async () => {
    await mesh?.[Symbol.asyncDispose]()
  }, 60_000)

  test.each([25, 45])(
    'loses nothing when a worker is cut off for %d s',
    async (seconds) => {
      const link = mesh.world.link(OTHER)
      await loses({
        seconds: seconds + 15,
        during: async () => {
          await link.silence()
          await pass(seconds * 1_000) // the fault itself
          await link.restore()
        },
      })
    },
    180_000,
  )

  test('goes on when the relay is gone', async () => {
    await loses({
      seconds: 15,
      during: async () => {
        await mesh.running('relay').kill('SIGKILL')
        await mesh.running('relay').ended
      },
    })
    await mesh.startRelay()
  }, 90_000)

  test('gets another worker when one is gone for good', async () => {
    await mesh.running(OTHER).kill('SIGKILL')
    const startedAt = performance.now()
    await until(REPLACED_MS, 'the other worker', async () => {
      const { state, workers } = await cluster()
      return state === 'running' && workers.some(({ name }) => name === SPARE) ? true : null
    })
    console.log(
      `a worker killed with its peer was replaced after ${((performance.now() - startedAt) / 1_000).toFixed(0)} s`,
    )
    const { workers, events } = await cluster()
    expect(workers.map(({ name, role, state }) => [name, role, state])).toEqual([
      [HEAD, 'head', 'running'],
      [SPARE, 'worker', 'running'],
    ])
    expect(events.map(({ text }) => text)).toContainEqual(expect.stringMatching(new RegExp(`^${OTHER} is lost: `)))
    const job = submit('where.py', 'after', '0')
    expect([(await job.ended).code, job.output()]).toEqual([0, expect.stringMatching(/^2 nodes, 'after'$/m)])
  }, 240_000)

  test('takes a worker in again that was away for longer than its place was kept', async () => {
    const link = mesh.world.link(SPARE)
    await link.silence()
    await until(REPLACED_MS, 'the worker to be given up', async () =>
      (await cluster()).events.some(({ text }) => text.startsWith(`${SPARE} is lost: `)) ? true : null,
    )
    expect((await cluster()).state).toBe('degraded') // nobody else is left
    await link.restore()
    const startedAt = performance.now()
    await until(REPLACED_MS, 'it to be hired again', async () => {
      const { state, workers } = await cluster()
      return state === 'running' && workers.some(({ name }) => name === SPARE) ? true : null
    })
    console.log(
      `it was in the cluster again ${((performance.now() - startedAt) / 1_000).toFixed(0)} s after its line was back`,
    )
  }, 240_000)

  test('gets a new head when that is gone, and says what was lost', async () => {
    await mesh.start(OTHER, { again: true })
    await mesh.ready(OTHER)
    await offers(mesh, 3)
    const job = submit('steady.py', '600')
    await job.says(/ready on 2 nodes/)
    await mesh.running(HEAD).kill('SIGKILL')
    const startedAt = performance.now()
    await until(REPLACED_MS, 'a new head', async () => {
      const { state, workers } = await cluster()
      const head = workers.find(({ role }) => role === 'head')
      return state === 'running' && head !== undefined && head.name !== HEAD ? true : null
    })
    console.log(`a new head was there after ${((performance.now() - startedAt) / 1_000).toFixed(0)} s`)
    const { workers, events } = await cluster()
    expect(workers.map(({ name, state }) => [name, state]).toSorted()).toEqual([
      [OTHER, 'running'],
      [SPARE, 'running'],
    ])
    expect(events.map(({ text }) => text)).toContainEqual(expect.stringMatching(/lost its jobs, actors and objects/))
    expect([(await job.ended).code, job.output()]).toEqual([1, expect.stringMatching(/lost its head.*\[job-lost\]/)])
    const again = submit('where.py', 'anew', '0')
    expect([(await again.ended).code, again.output()]).toEqual([0, expect.stringMatching(/^2 nodes, 'anew'$/m)])
  }, 300_000)

  test('comes back with its hirer, and can be given back', async () => {
    await mesh.running('engineer').kill('SIGKILL')
    await mesh.running('engineer').ended
    await mesh.start('engineer', { again: true, args: ['--rootless'] })
    await mesh.ready('engineer')
    await until(30_000, 'its workers', async () => {
      const { workers } = await cluster()
      return workers.length === 2 && workers.every(({ state }) => state === 'running') ? true : null
    })
    await engineer('cluster', 'delete', 'one')
  }, 120_000)
})
