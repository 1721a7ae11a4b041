import { silentLogger } from '@ropewalk/shared/logger'
import type { Link } from '@ropewalk/shared/records'
import { applyDelta, type Delta, snapshotSchema } from '@ropewalk/shared/topology'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Member } from '../discovery/index.ts'
import { ActedMesh, memberCalled, recordOf } from './acted-mesh.ts'
import { createTopology, type Topology, type TopologyOptions } from './index.ts'

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

async function world(options: Partial<TopologyOptions> = {}) {
  const mesh = new ActedMesh(memberCalled('relay', { rights: ['relay'], record: recordOf() }))
  const topology = createTopology(
    { liveness: 'reports', epoch: 'e', ...options },
    { discovery: mesh.discovery, links: mesh.links, nowMs: Date.now, logger: silentLogger },
  )
  await topology.start()
  return { mesh, topology, pass: (ms: number) => vi.advanceTimersByTimeAsync(ms) }
}

const up = (peer: Member, patch: Partial<Link> = {}): Link => ({
  peer: peer.nodeId,
  kind: 'direct',
  state: 'active',
  rttUs: 1_500,
  mtu: 1408,
  lossPpm: 0,
  ...patch,
})
const stateOf = (topology: Topology, { nodeId }: Member) =>
  topology.snapshot().nodes.find((node) => node.nodeId === nodeId)?.state

describe('a relay’s topology', () => {
  test('shows members, links and relays as they are told, in the API’s form', async () => {
    const { mesh, topology, pass } = await world()
    const [a, b] = [mesh.join(memberCalled('a')), mesh.join(memberCalled('b'))]
    const front = { url: 'https://r2.example:443/', udpPort: 3478 }
    const r2 = mesh.join(memberCalled('r2', { rights: ['relay'], record: recordOf({ relay: front }) }))
    mesh.report(a, 1, [up(b)], Date.now())
    mesh.report(b, 1, [up(a, { kind: 'relay', via: r2.nodeId })], Date.now())
    await pass(500)
    const snapshot = topology.snapshot()
    expect(snapshotSchema.parse(snapshot)).toEqual(snapshot)
    expect(snapshot.nodes).toHaveLength(4)
    expect(snapshot.links).toMatchObject([{ state: 'up', kind: 'relay', rttMs: 1.5 }])
    expect(snapshot.relays).toMatchObject([{ name: 'r2', url: front.url }])
  })

  test('a member that says it is a relay without that right is shown as none', async () => {
    const { mesh, topology, pass } = await world()
    mesh.join(memberCalled('liar', { record: recordOf({ relay: { url: 'https://evil/', udpPort: 1 } }) }))
    await pass(500)
    expect(topology.snapshot().relays).toEqual([])
    expect(topology.snapshot().nodes.map(({ relay }) => relay)).not.toContain(true)
  })

  test('a service that does not fit the API is left out, and breaks nothing', async () => {
    const { mesh, topology, pass } = await world()
    const services = [
      { name: '9lives', port: 9, protocol: 'tcp' as const },
      { name: 'ssh', port: 22, protocol: 'tcp' as const },
    ]
    const a = mesh.join(memberCalled('a', { record: recordOf({ services }) }))
    await pass(500)
    const node = topology.snapshot().nodes.find(({ nodeId }) => nodeId === a.nodeId)
    expect(node?.services).toEqual([{ name: 'ssh', port: 22, protocol: 'tcp', http: false }])
    snapshotSchema.parse(topology.snapshot())
  })

  test('a link that its end reports down is seen within 2 s', async () => {
    const { mesh, topology, pass } = await world()
    const [a, b] = [mesh.join(memberCalled('a')), mesh.join(memberCalled('b'))]
    mesh.report(a, 1, [up(b)], Date.now())
    mesh.report(b, 1, [up(a)], Date.now())
    await pass(1_000)
    expect(topology.snapshot().links).toMatchObject([{ state: 'up' }])
    mesh.report(a, 2, [up(b, { state: 'down' })], Date.now())
    mesh.report(b, 2, [up(a, { state: 'down' })], Date.now())
    await pass(2_000)
    expect(topology.snapshot().links).toMatchObject([{ state: 'down' }])
  })

  test('a member that falls silent is offline within 15 s, and not after one missed report', async () => {
    const { mesh, topology, pass } = await world()
    const a = mesh.join(memberCalled('a'))
    mesh.connected.add(a.nodeId)
    mesh.report(a, 1, [], Date.now())
    await pass(12_000)
    expect(stateOf(topology, a)).toBe('online')
    await pass(3_000)
    expect(stateOf(topology, a)).toBe('offline')
    mesh.report(a, 2, [], Date.now())
    await pass(500)
    expect(stateOf(topology, a)).toBe('online')
  })

  test('a member whose link breaks and does not come back is offline within 2 s', async () => {
    const { mesh, topology, pass } = await world()
    const a = mesh.join(memberCalled('a', { lastHeardMs: Date.now() }))
    mesh.connected.add(a.nodeId)
    mesh.report(a, 1, [], Date.now())
    await pass(1_000)
    mesh.connected.delete(a.nodeId)
    mesh.say({ kind: 'disconnected', nodeId: a.nodeId })
    await pass(1_900)
    expect(stateOf(topology, a)).toBe('offline')
  })

  test('a link that is swapped for another is no fault', async () => {
    const { mesh, topology, pass } = await world()
    const a = mesh.join(memberCalled('a'))
    mesh.connected.add(a.nodeId)
    mesh.report(a, 1, [], Date.now())
    await pass(500)
    mesh.connected.delete(a.nodeId)
    mesh.say({ kind: 'disconnected', nodeId: a.nodeId })
    await pass(500)
    mesh.connected.add(a.nodeId)
    mesh.say({ kind: 'connected', nodeId: a.nodeId })
    await pass(2_000)
    expect(stateOf(topology, a)).toBe('online')
  })

  test('a good-bye is seen within 2 s, a revocation too and stays visible', async () => {
    const { mesh, topology, pass } = await world()
    const [a, b] = [mesh.join(memberCalled('a')), mesh.join(memberCalled('b'))]
    mesh.report(a, 1, [], Date.now())
    mesh.report(b, 1, [], Date.now())
    await pass(500)
    mesh.change(a, { state: 'gone' })
    mesh.members.delete(b.nodeId)
    mesh.say({ kind: 'revoked', member: b })
    await pass(500)
    expect([stateOf(topology, a), stateOf(topology, b)]).toEqual(['offline', 'revoked'])
    await pass(30_000)
    expect(stateOf(topology, b)).toBe('revoked')
  })

  test('a member that keeps to other relays is known by what they spread', async () => {
    const { mesh, topology, pass } = await world()
    const elsewhere = memberCalled('x').nodeId
    const a = mesh.join(memberCalled('a', { record: recordOf({ relays: [elsewhere] }) }))
    await pass(60_000)
    expect(stateOf(topology, a)).toBe('online')
    mesh.change(a, { state: 'silent' })
    await pass(500)
    expect(stateOf(topology, a)).toBe('offline')
  })

  test('a member that another relay has lost is offline at once, unless it is linked to this one', async () => {
    const { mesh, topology, pass } = await world()
    const [a, b] = [mesh.join(memberCalled('a')), mesh.join(memberCalled('b'))]
    mesh.connected.add(b.nodeId)
    mesh.report(a, 1, [], Date.now())
    mesh.report(b, 1, [], Date.now())
    await pass(500)
    mesh.change(a, { state: 'silent' })
    mesh.change(b, { state: 'silent' })
    await pass(500)
    expect([stateOf(topology, a), stateOf(topology, b)]).toEqual(['offline', 'online'])
  })

  test('an older report changes nothing', async () => {
    const { mesh, topology, pass } = await world()
    const [a, b] = [mesh.join(memberCalled('a')), mesh.join(memberCalled('b'))]
    mesh.report(b, 1, [], Date.now())
    mesh.report(a, 5, [up(b)], Date.now())
    mesh.report(a, 4, [up(b, { state: 'down' })], Date.now())
    await pass(500)
    expect(topology.snapshot().links).toMatchObject([{ state: 'up' }])
  })
})

describe('a peer’s topology', () => {
  test('shows its own links and whom the mesh knows to be alive', async () => {
    const { mesh, topology, pass } = await world({ liveness: 'discovery' })
    const [a, b] = [mesh.join(memberCalled('a')), mesh.join(memberCalled('b', { state: 'silent' }))]
    mesh.setOwnLinks([up(a)])
    await pass(500)
    expect(topology.snapshot().links).toMatchObject([{ state: 'up', kind: 'direct' }])
    expect([stateOf(topology, a), stateOf(topology, b)]).toEqual(['online', 'offline'])
    mesh.setOwnLinks([up(a, { state: 'down' })])
    await pass(500)
    expect(topology.snapshot().links).toMatchObject([{ state: 'down' }])
  })
})

describe('the past', () => {
  test('deltas follow each other without gaps and lead from any kept mark to now', async () => {
    const { mesh, topology, pass } = await world()
    const seen: Delta[] = []
    const before = topology.snapshot()
    topology.onDelta((delta) => seen.push(delta))
    const members = ['a', 'b', 'c'].map((name) => mesh.join(memberCalled(name)))
    for (let round = 1; round <= 10; round++) {
      for (const one of members) {
        mesh.report(
          one,
          round,
          members.filter((other) => other !== one).map((other) => up(other, { rttUs: round })),
          Date.now(),
        )
      }
      await pass(500)
    }
    expect(seen.length).toBeGreaterThan(5)
    expect(seen.reduce(applyDelta, before)).toEqual(topology.snapshot())
    for (const delta of seen) {
      const missed = topology.since({ epoch: 'e', sequence: delta.sequence })
      expect(missed?.[0]?.since ?? delta.sequence).toBe(delta.sequence)
    }
    expect(topology.since({ epoch: 'other', sequence: 1 })).toBeUndefined()
    expect(topology.since({ epoch: 'e', sequence: 10_000 })).toBeUndefined()
  })

  test('is bounded: a mark that fell out of it asks for a snapshot', async () => {
    const { mesh, topology, pass } = await world({ ring: { deltas: 3 } })
    const first = topology.snapshot()
    for (let i = 0; i < 5; i++) {
      mesh.join(memberCalled(`m${i}`))
      await pass(500)
    }
    const { epoch, sequence } = topology.snapshot()
    expect(topology.since(first)).toBeUndefined()
    expect(topology.since({ epoch, sequence: sequence - 3 })).toHaveLength(3)
    expect(topology.since({ epoch, sequence })).toEqual([])
  })

  test('many changes at once are few deltas', async () => {
    const { mesh, topology, pass } = await world()
    const before = topology.snapshot().sequence
    for (let i = 0; i < 200; i++) mesh.join(memberCalled(`m${i}`))
    await pass(1_000)
    expect(topology.snapshot().sequence - before).toBeLessThan(10)
    expect(topology.snapshot().nodes).toHaveLength(201)
  })

  test('a watcher that throws harms no other', async () => {
    const { mesh, topology, pass } = await world()
    const seen: number[] = []
    topology.onDelta(() => {
      throw new Error('mine')
    })
    topology.onDelta(({ sequence }) => seen.push(sequence))
    mesh.join(memberCalled('a'))
    await pass(500)
    expect(seen.length).toBeGreaterThan(0)
  })
})
