import { lpStream } from '@libp2p/utils'
import { bytes, encodeWith, field, struct, union } from '@ropewalk/shared/codec'
import { RopewalkError } from '@ropewalk/shared/errors'
import { encodeBundle, signPolicy, signRevocations, type WayIn } from '@ropewalk/shared/membership'
import { encodeEnvelope, encodeSync, SIGNAL_PROTOCOL, SYNC_PROTOCOL, sealEnvelope } from '@ropewalk/shared/records'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { RogueHost } from './rogue-host.ts'
import { addressOf, nextEvent, portOf, TestMesh, type TestNode, until, wayTo } from './test-mesh.ts'
import { recordOf } from './test-records.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 20_000 }) // real hosts, on a machine that may be busy

let mesh: TestMesh
let relay: TestNode
let waysIn: readonly WayIn[]

beforeEach(async () => {
  mesh = new TestMesh()
  relay = mesh.admitted('relay')
  await relay.discovery.start()
  waysIn = [wayTo(relay)]
})
afterEach(() => mesh.stop())

const text = (value: Uint8Array): string => Buffer.from(value).toString()

/** Some joined members that all see each other. */
async function members(...names: string[]): Promise<TestNode[]> {
  const nodes = names.map((name) => mesh.joiner(name, { waysIn }))
  for (const node of nodes) await node.discovery.start()
  await Promise.all(nodes.map((node) => until(node, () => sees(node, [...names, 'relay']), 'all members online')))
  return nodes
}

function sees(node: TestNode, names: readonly string[]): boolean {
  return names.every((name) => name === node.name || node.discovery.member(name)?.state === 'online')
}

describe('a mesh', () => {
  test('comes together again from memory, without ticket and bootstraps, as long as one member lives', async () => {
    const [a, b] = await members('worker-a', 'worker-b')
    if (a === undefined || b === undefined) throw new Error('no members')
    const [before, port] = [a.discovery.self, portOf(b)]
    await a.discovery.stop()
    await b.discovery.stop()
    await relay.discovery.stop()
    const [a2, b2] = [mesh.again(a), mesh.again(b, { port })]
    await b2.discovery.start()
    await a2.discovery.start()
    await until(a2, () => a2.discovery.connectedTo(b.key.nodeId), 'a found b')
    await until(b2, () => b2.discovery.member('worker-a')?.state === 'online', 'b sees a')
    expect(a2.discovery.self).toMatchObject({
      name: before.name,
      addresses: before.addresses,
      certificate: before.certificate,
    })
  })

  test('cuts a revoked member everywhere at once, and does not let it in again', async () => {
    const [a, b] = await members('worker-a', 'worker-b')
    if (a === undefined || b === undefined) throw new Error('no members')
    const cut = nextEvent(a, 'revoked')
    const own = nextEvent(b, 'revoked')
    const list = signRevocations(mesh.network, undefined, { nodes: [b.key.nodeId], nowMs: Date.now() }, mesh.root)
    const began = performance.now()
    await relay.discovery.revoke(list.bytes)
    expect((await cut).member).toMatchObject({ name: 'worker-b', state: 'revoked' })
    await own
    for (const node of [a, relay]) {
      await until(node, () => !node.discovery.connectedTo(b.key.nodeId), 'cut')
      expect(node.discovery.member('worker-b')).toBeUndefined()
    }
    expect(performance.now() - began).toBeLessThan(2_000)
    const from = relay.log.lines.length
    const rogue = await RogueHost.create(mesh.network, b.key, b.memory.bundle)
    await rogue.dial(addressOf(relay)).catch(() => undefined)
    expect((await relay.log.line('refused a stranger', from)).code).toBe('revoked')
    await rogue.stop()
    await expect(
      relay.discovery.revoke(signRevocations(mesh.network, undefined, { nowMs: 1 }, mesh.root).bytes),
    ).resolves.toMatchObject({ seq: 1 })
  })

  test('spreads changes of a record, a policy, and a goodbye', async () => {
    const [a, b] = await members('worker-a', 'worker-b')
    if (a === undefined || b === undefined) throw new Error('no members')
    b.discovery.publish({ services: [{ name: 'ssh', port: 22, protocol: 'tcp' }] })
    b.discovery.publish({ nat: 'easy' })
    await until(a, () => a.discovery.member('worker-b')?.record?.services.length === 1, 'the service')
    expect(a.discovery.member('worker-b')?.record?.nat).toBe('easy')
    const policy = signPolicy(mesh.network, { seq: 1, issuedAtMs: Date.now(), rules: Buffer.from('rules') }, mesh.root)
    await relay.discovery.setPolicy(policy.bytes)
    await until(a, () => a.discovery.policy()?.seq === 1, 'the policy')
    const gpus = Array.from({ length: 16 }, (_, at) => ({ model: `${at} ${'x'.repeat(61)}`, memoryMiB: 143_771 }))
    const offer = { ray: '2.60.0', cpus: 64, memoryMiB: 1, diskGiB: 1, gpus, maxLeaseMinutes: 60, leases: 0 }
    const offered = () => a.discovery.member('worker-b')?.record?.offer
    b.discovery.publish({ offer })
    await until(a, () => offered() !== undefined, 'the offer')
    expect(offered()).toEqual(offer)
    // more than a record holds: then names are cut, not GPUs
    const services = Array.from({ length: 16 }, (_, at) => ({
      name: `s${at}${'x'.repeat(28)}`,
      port: 22,
      protocol: 'tcp' as const,
    }))
    b.discovery.publish({ services })
    await until(a, () => a.discovery.member('worker-b')?.record?.services.length === 16, 'the services')
    expect(offered()?.gpus.map(({ model }) => model)).toEqual(gpus.map(({ model }) => model.slice(0, 20)))
    b.discovery.publish({ offer: undefined })
    await until(a, () => offered() === undefined, 'that it offers nothing')
    await b.discovery.stop()
    await until(a, () => a.discovery.member('worker-b')?.state === 'gone', 'the goodbye', 2_000)
  })

  test('hears within 2 s that a killed member is silent', async () => {
    const [a] = await members('worker-a')
    if (a === undefined) throw new Error('no member')
    const doomed = mesh.admitted('doomed', { rights: [] })
    const rogue = await RogueHost.create(mesh.network, doomed.key, doomed.memory.bundle)
    const sync = lpStream(await rogue.stream(addressOf(relay), SYNC_PROTOCOL))
    const none = [0, new Uint8Array()] as const
    const record = recordOf(doomed)
    await sync.write(
      encodeSync({
        kind: 'hello',
        revocations: none,
        policy: none,
        bundle: encodeBundle(doomed.memory.bundle),
        record,
        have: [],
      }),
    )
    await until(a, () => a.discovery.member('doomed')?.state === 'online', 'the doomed one')
    const began = performance.now()
    await rogue.stop()
    await until(a, () => a.discovery.member('doomed')?.state === 'silent', 'its silence', 3_000)
    expect(performance.now() - began).toBeLessThan(2_500)
  })

  test('tells a newcomer of fifty members at once, over one link', async () => {
    const [teller] = [mesh.admitted('teller', { rights: [] })]
    const crowd = Array.from({ length: 50 }, (_, i) => mesh.admitted(`n${i}`, { rights: [] }))
    const rogue = await RogueHost.create(mesh.network, teller.key, teller.memory.bundle)
    const sync = lpStream(await rogue.stream(addressOf(relay), SYNC_PROTOCOL))
    const bundles = crowd.map((one) => encodeBundle(one.memory.bundle))
    const records = crowd.map((one) => recordOf(one))
    await sync.write(encodeSync({ kind: 'push', bundles, records }))
    await until(relay, () => relay.discovery.members().length === 51, 'the relay knows them')
    const newcomer = mesh.joiner('newcomer', { waysIn })
    await newcomer.discovery.start()
    const began = performance.now()
    const online = (): number => newcomer.discovery.members().filter(({ state }) => state === 'online').length
    await until(newcomer, () => online() >= 51, 'the newcomer knows them')
    expect(performance.now() - began).toBeLessThan(3_000)
    await rogue.stop()
  })
})

describe('between members', () => {
  test('a request is answered, its limits hold, and errors keep their code', async () => {
    const [a, b] = await members('worker-a', 'worker-b')
    if (a === undefined || b === undefined) throw new Error('no members')
    b.discovery.handle('/test/echo/1', { maxBytes: 100 }, (request, from) =>
      Buffer.from(`${from.name}: ${text(request)}`),
    )
    b.discovery.handle('/test/no/1', { maxBytes: 100 }, () => {
      throw new RopewalkError('not-exposed', 'no such service')
    })
    const ask = (protocol: string, content: string, maxBytes?: number) =>
      a.discovery
        .request(b.key.nodeId, protocol, Buffer.from(content), maxBytes === undefined ? {} : { maxBytes })
        .then(text)
    expect(await ask('/test/echo/1', 'hello')).toBe('worker-a: hello')
    await expect(ask('/test/no/1', 'x')).rejects.toMatchObject({ code: 'not-exposed' })
    await expect(ask('/test/unknown/1', 'x')).rejects.toMatchObject({ code: 'unsupported' })
    await expect(ask('/test/echo/1', 'hello', 5)).rejects.toMatchObject({ code: 'too-large' })
    await expect(ask('/test/echo/1', 'x'.repeat(200))).rejects.toBeInstanceOf(RopewalkError)
    expect(await ask('/test/echo/1', 'again')).toBe('worker-a: again')
    const stranger = mesh.admitted('stranger', { rights: [] })
    const unknown = a.discovery.request(stranger.key.nodeId, '/test/echo/1', Buffer.from('x'), { timeoutMs: 500 })
    await expect(unknown).rejects.toMatchObject({ code: 'unknown-peer' })
  })

  test('a signal finds its way through a common neighbour, which cannot read it', async () => {
    const names = ['worker-a', 'worker-b']
    const overrides = { announce: [] }
    const [a, b] = names.map((name) => mesh.joiner(name, { waysIn, overrides }))
    if (a === undefined || b === undefined) throw new Error('no members')
    await a.discovery.start()
    await b.discovery.start()
    await until(a, () => sees(a, names), 'a sees b')
    await until(b, () => sees(b, names), 'b sees a')
    const heard = new Promise<string>((resolve) =>
      b.discovery.onSignal((content, from) => resolve(`${from.name}: ${text(content)}`)),
    )
    await a.discovery.signal(b.key.nodeId, Buffer.from('candidates'))
    expect(await heard).toBe('worker-a: candidates')
  })

  test('a signal that came before its sender was known is taken when it comes again, and once only', async () => {
    const [carrier, sender] = [mesh.admitted('carrier', { rights: [] }), mesh.admitted('sender', { rights: [] })]
    const rogue = await RogueHost.create(mesh.network, carrier.key, carrier.memory.bundle)
    const { nodeId, wireguardKey } = relay.discovery.self
    const to = { nodeId, wireguardKey }
    const envelope = sealEnvelope({ from: sender.key, to, content: Buffer.from('call'), nowMs: Date.now() })
    const carried = union({ carried: [1, struct({ envelope: field(1, bytes(1, 8_192)) })] })
    const request = encodeWith(carried, { kind: 'carried', envelope: encodeEnvelope(envelope) })
    const heard: string[] = []
    relay.discovery.onSignal((content, from) => heard.push(`${from.name}: ${text(content)}`))
    const send = async (): Promise<string> => {
      const stream = lpStream(await rogue.stream(addressOf(relay), SIGNAL_PROTOCOL))
      await stream.write(request)
      return text((await stream.read({ signal: AbortSignal.timeout(5_000) })).subarray())
    }
    expect(await send()).toContain('not-admitted')
    const sync = lpStream(await rogue.stream(addressOf(relay), SYNC_PROTOCOL))
    await sync.write(encodeSync({ kind: 'push', bundles: [encodeBundle(sender.memory.bundle)], records: [] }))
    await until(relay, () => relay.discovery.member('sender') !== undefined, 'the sender is known')
    for (let n = 0; n < 3; n++) expect(await send()).not.toContain('not-admitted')
    expect(heard).toEqual(['sender: call'])
    await rogue.stop()
  })

  test('reports reach the relay, the newest also when it comes later', async () => {
    const [a] = await members('worker-a')
    if (a === undefined) throw new Error('no member')
    const heard: string[] = []
    const first = Promise.withResolvers<void>()
    relay.discovery.onReport((report, from) => {
      heard.push(`${from.name} ${report.links.length}`)
      first.resolve()
    })
    a.discovery.sendReport([{ peer: relay.key.nodeId, kind: 'direct', state: 'active', rttUs: 120 }])
    await first.promise
    expect(heard).toEqual(['worker-a 1'])
    const port = portOf(relay)
    await relay.discovery.stop()
    const back = mesh.again(relay, { port })
    const second = Promise.withResolvers<string>()
    back.discovery.onReport((_report, from) => second.resolve(from.name))
    await back.discovery.start()
    expect(await second.promise).toBe('worker-a')
  })
})

describe('time', () => {
  test('an admission is renewed when half of it is over, and a late returner is renewed at the door', async () => {
    const [a] = await members('worker-a')
    if (a === undefined) throw new Error('no member')
    const first = a.discovery.self.admission
    await a.discovery.stop()
    const port = portOf(relay)
    await relay.discovery.stop()
    // both a whole admission later: the relay renews itself, as nobody else is there, and then the worker
    const now = (): number => Date.now() + 31 * 24 * 3_600_000
    const relay2 = mesh.again(relay, { port, now })
    const joined = await relay2.discovery.start().then(
      () => 'started',
      (error: unknown) => (error instanceof RopewalkError ? error.code : String(error)),
    )
    expect(joined).toBe('started')
    const a2 = mesh.again(a, { now, waysIn })
    await a2.discovery.start()
    expect(a2.discovery.self.admission).toMatchObject({ sinceMs: first.sinceMs, use: first.use })
    expect(a2.discovery.self.admission.admittedAtMs).toBeGreaterThan(first.notAfterMs)
    await until(a2, () => a2.discovery.member('relay')?.state === 'online', 'the relay')
  })

  test('two processes with one key notice each other', async () => {
    const [a] = await members('worker-a')
    if (a === undefined) throw new Error('no member')
    const warned = new Promise<string>((resolve) => {
      a.discovery.onChange((event) => {
        if (event.kind === 'warning') resolve(event.code)
      })
    })
    const twin = await RogueHost.create(mesh.network, a.key, a.memory.bundle)
    const sync = lpStream(await twin.stream(addressOf(relay), SYNC_PROTOCOL))
    const record = recordOf(a, Date.now() + 60_000)
    await sync.write(encodeSync({ kind: 'push', bundles: [], records: [record] }))
    expect(await warned).toBe('ticket-in-use')
    await twin.stop()
  })
})
