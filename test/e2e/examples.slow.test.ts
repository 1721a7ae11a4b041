import { join } from 'node:path'
import type { ClusterView } from '@ropewalk/shared/api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkout, until } from '../lab/index.ts'
import { ensureRay } from '../runtime/index.ts'
import { type ExampleResult, exampleResult } from './example-result.ts'
import { openHiringWorld } from './hiring-world.ts'
import { type MeshWorld, WORKERS } from './mesh-world.ts'

const EXAMPLES = join(checkout, 'examples')
/** Longer trials than usual: one must still run when its node is cut off. */
const EPOCHS = 800
const [, , LOST] = WORKERS
const runtime = ensureRay()

let mesh: MeshWorld

const cluster = async () => (await mesh.json<{ cluster: ClusterView }>('engineer', ['cluster', 'show', 'one'])).cluster
const submit = (...words: string[]) => ['job', 'submit', '--cluster', 'one', '--working-dir', EXAMPLES, '--', ...words]
const worker = async (name: string) => {
  const found = (await cluster()).workers.find((one) => one.name === name)
  if (found?.rayNode == null) throw new Error(`${name} is not in the cluster`)
  return { address: found.address, rayNode: found.rayNode }
}

async function run(program: string): Promise<ExampleResult> {
  const startedAt = performance.now()
  const { stdout } = await mesh.ropewalk('engineer', submit('python', program), { timeoutMs: 120_000 })
  const seconds = (performance.now() - startedAt) / 1_000
  const result = exampleResult(stdout)
  console.log(`${program} took ${seconds.toFixed(1)} s: ${JSON.stringify(result)}`)
  return result
}

/** The ids of all nodes of the cluster, as Ray calls them. */
async function nodes(): Promise<string[]> {
  return (await cluster()).workers.flatMap(({ rayNode }) => rayNode ?? []).toSorted()
}

describe.skipIf(runtime === undefined)('the examples, submitted by an engineer to three workers behind NAT', () => {
  beforeAll(async () => {
    mesh = await openHiringWorld()
    const words = ['--workers', '3', '--cpus', '1', '--memory', '3GiB', '--for', '1h']
    await mesh.ropewalk('engineer', ['cluster', 'create', 'one', ...words], { timeoutMs: 120_000 })
  }, 240_000)

  afterAll(async () => {
    await mesh?.[Symbol.asyncDispose]()
  }, 60_000)

  test('batch inference computes on all nodes and serves from each of them', async () => {
    const result = await run('batch_inference.py')
    expect(Object.keys(result.nodes).toSorted()).toEqual(await nodes())
    expect(result.served).toHaveLength(3)
  }, 120_000)

  test('training on shards ends where training in one process ends', async () => {
    const result = await run('data_parallel.py')
    expect(Object.keys(result.nodes).toSorted()).toEqual(await nodes())
    expect(result.difference).toBeLessThan(1e-5)
  }, 120_000)

  test('a policy learns to balance the pole, the same one each time', async () => {
    const result = await run('cart_pole.py')
    expect(Object.keys(result.nodes).toSorted()).toEqual(await nodes())
    expect(result.reward).toBeGreaterThanOrEqual(475)
    const { generations, reward } = await run('cart_pole.py')
    expect({ generations, reward }).toEqual({ generations: result.generations, reward: result.reward })
  }, 240_000)

  test('all trials of a tuning finish though a node is cut off in the middle of one', async () => {
    const cut = await worker(LOST)
    const tuning = mesh.spawn('engineer', submit('python', 'tuning.py', '--epochs', String(EPOCHS)))
    const running = await tuning.says(
      new RegExp(`trial (\\d+) is at epoch [1-9]\\d* of ${EPOCHS} on ${cut.address}\n`),
      60_000,
    )
    await mesh.world.link(LOST).silence()
    const cutAtMs = Date.now()
    console.log(`${LOST} is cut off while it runs trial ${running[1]}`)
    expect(await tuning.ended).toMatchObject({ code: 0 })
    const result = exampleResult(tuning.output())
    console.log(
      `${((Date.now() - cutAtMs) / 1_000).toFixed(1)} s later all trials had ended: ${JSON.stringify(result)}`,
    )
    expect(result.trials).toBe(8)
    expect(result.again).toContain(Number(running[1]))
    expect(Object.keys(result.nodes)).toHaveLength(2)
    expect(Object.keys(result.nodes)).not.toContain(cut.rayNode)
    const { events } = await until(60_000, `the hirer to give ${LOST} up`, async () => {
      const now = await cluster()
      return now.workers.some(({ name }) => name === LOST) ? null : now
    })
    const lost = events.find(({ text }) => text.startsWith(`${LOST} is lost`))
    console.log(`${(((lost?.atMs ?? 0) - cutAtMs) / 1_000).toFixed(1)} s after the cut: ${lost?.text}`)
  }, 300_000)
})
