import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { TestMesh, type TestNode, until, wayTo } from './test-mesh.ts'

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 })

const CROWD = 50

let mesh: TestMesh
let relay: TestNode
beforeEach(async () => {
  mesh = new TestMesh()
  relay = mesh.admitted('relay')
  await relay.discovery.start()
})
afterEach(() => mesh.stop())

test('fifty hosts that join in a wave all learn of each other', async () => {
  const waysIn = [wayTo(relay)]
  const invite = mesh.invite({ uses: CROWD })
  const crowd = Array.from({ length: CROWD }, (_, i) =>
    mesh.joiner(`n${i}`, { waysIn, overrides: { joinTimeoutMs: 120_000 } }, invite),
  )
  const began = performance.now()
  await Promise.all(crowd.map((node) => node.discovery.start()))
  const joined = performance.now() - began
  const online = (node: TestNode): number => node.discovery.members().filter(({ state }) => state === 'online').length
  await Promise.all(crowd.map((node) => until(node, () => online(node) === CROWD, 'everybody', 120_000)))
  console.log(`joined after ${Math.round(joined)} ms, all knew all after ${Math.round(performance.now() - began)} ms`)
  expect(new Set(crowd.map((node) => node.discovery.self.admission.use)).size).toBe(CROWD)
})
