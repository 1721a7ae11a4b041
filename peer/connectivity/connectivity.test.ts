import { generateSigningKey, type NodeId, nodeIdOf } from '@ropewalk/shared/identity'
import { decodeStun, encodeBindingSuccess, type StunAddress } from '@ropewalk/shared/stun'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ForwardBroker, type ForwarderSession } from './forward-broker.ts'
import { localAddresses } from './local-addresses.ts'
import { PathBook, type PathCandidate } from './path-book.ts'
import { REFRESH_MS, ReflexiveAddresses } from './reflexive.ts'
import { RelaySessions } from './relay-sessions.ts'

const node = (): NodeId => nodeIdOf(generateSigningKey().publicKey)

function info(address: string, internal = false) {
  const family = address.includes(':') ? ('IPv6' as const) : ('IPv4' as const)
  const common = { address, netmask: '', mac: '', internal, cidr: null }
  return family === 'IPv6' ? { ...common, family, scopeid: 0 } : { ...common, family }
}

describe("this machine's addresses", () => {
  const interfaces = {
    lo: [info('127.0.0.1', true), info('::1', true)],
    eth0: [info('192.0.2.1'), info('2001:db8::1'), info('fe80::1')],
    docker0: [info('172.17.0.1')],
    rope0: [info('100.88.0.1')],
  }

  test('are those that another member may be able to reach', () => {
    const found = localAddresses(interfaces, { except: ['rope0'] }).map(({ address }) => address)
    expect(found).toEqual(['2001:db8::1', '192.0.2.1'])
  })

  test('are those of the interfaces named, loopback too', () => {
    const found = localAddresses(interfaces, { only: ['lo'], except: [] }).map(({ address }) => address)
    expect(found).toEqual(['::1', '127.0.0.1'])
  })
})

describe('reflexive addresses', () => {
  const server = { name: 'relay', address: '192.0.2.9', port: 3478 }
  const other = { name: 'other', address: '192.0.2.10', port: 3478 }
  const sent: { socket: number; to: StunAddress; bytes: Uint8Array }[] = []
  const make = (servers: readonly (typeof server)[]) => {
    sent.length = 0
    const addresses = new ReflexiveAddresses((socket, to, bytes) => sent.push({ socket, to, bytes }))
    addresses.configure(
      [
        { id: 4, family: 4 },
        { id: 6, family: 6 },
      ],
      servers,
      0,
    )
    return addresses
  }
  const answer = (index: number, mapped: StunAddress) =>
    encodeBindingSuccess(decodeStun(sent[index]?.bytes ?? new Uint8Array()).transactionId, mapped)

  test('are asked for by the sockets of the right family, again and again until an answer comes', () => {
    const addresses = make([server])
    expect(addresses.poll(0)).toBe(500)
    expect(addresses.poll(500)).toBe(1500)
    expect(sent.map(({ socket }) => socket)).toEqual([4, 4])
    expect(addresses.receive(4, server, answer(1, { address: '198.51.100.7', port: 4000 }), 600)).toBe(true)
    expect(addresses.addresses(700)).toEqual([{ address: '198.51.100.7', port: 4000, socket: 4 }])
    expect(addresses.poll(700)).toBe(600 + REFRESH_MS)
  })

  test('an answer to another question, from another server or to another socket is nothing', () => {
    const addresses = make([server])
    addresses.poll(0)
    const bytes = answer(0, { address: '198.51.100.7', port: 4000 })
    expect(addresses.receive(4, other, bytes, 1)).toBe(false)
    expect(addresses.receive(6, server, bytes, 1)).toBe(false)
    addresses.poll(500)
    expect(addresses.receive(4, server, bytes, 501)).toBe(false)
    expect(addresses.addresses(502)).toEqual([])
  })

  test('two servers tell an easy NAT from a hard one', () => {
    for (const [port, natClass] of [
      [4000, 'easy'],
      [4001, 'hard'],
    ] as const) {
      const addresses = make([server, other])
      addresses.poll(0)
      addresses.receive(4, server, answer(0, { address: '198.51.100.7', port: 4000 }), 1)
      addresses.receive(4, other, answer(1, { address: '198.51.100.7', port }), 1)
      expect(addresses.natClass(new Set())).toBe(natClass)
    }
  })

  test('no bytes make it throw', () => {
    const addresses = make([server])
    addresses.poll(0)
    fc.assert(fc.property(fc.uint8Array({ maxLength: 1300 }), (bytes) => void addresses.receive(4, server, bytes, 1)))
  })
})

describe('the numbers of paths', () => {
  const candidate = fc.record({
    kind: fc.constantFrom('direct', 'relay'),
    socket: fc.nat(1),
    remote: fc.record({ address: fc.constantFrom('192.0.2.1', '192.0.2.2'), port: fc.nat(3) }),
  }) as fc.Arbitrary<PathCandidate>

  test('a candidate keeps its number while it is offered, and no two share one', () => {
    fc.assert(
      fc.property(fc.array(fc.array(candidate)), (sets) => {
        const book = new PathBook()
        let before = new Map<string, number>()
        for (const set of sets) {
          book.replace(set)
          const now = new Map(book.paths.map(({ id, ...path }) => [JSON.stringify(path), id]))
          expect(new Set(now.values()).size).toBe(now.size)
          for (const [key, id] of now) expect(before.get(key) ?? id).toBe(id)
          before = now
        }
      }),
    )
  })
})

describe('the broker of forwarder sessions', () => {
  const endpoints = [{ address: '192.0.2.9', port: 3478 }]
  const limits = { endpoints, sessionsPerMember: 4, sessionQuotaBytes: 100, memberBytesPerHour: 1_000 }
  const table = () => {
    const live = new Map<string, ForwarderSession>()
    return {
      live,
      setSessions(add: readonly ForwarderSession[], removeIds: readonly string[]) {
        for (const session of add) live.set(session.id, session)
        for (const id of removeIds) live.delete(id)
      },
    }
  }

  test('two members that ask for each other get two sides of one session', () => {
    const engine = table()
    const broker = new ForwardBroker(limits, engine)
    const [a, b] = [node(), node()]
    const [one, two] = [broker.grant(a, b, 0), broker.grant(b, a, 10)]
    expect(one.session).toEqual(two.session)
    expect(one.slot).not.toBe(two.slot)
    expect(one.secret).not.toEqual(two.secret)
    expect(engine.live.size).toBe(1)
  })

  test('half way through its life a session gets a successor, and both end in their time', () => {
    const engine = table()
    const broker = new ForwardBroker(limits, engine)
    const [a, b] = [node(), node()]
    const first = broker.grant(a, b, 0)
    expect(broker.grant(a, b, 1_799_999).session).toEqual(first.session)
    expect(broker.grant(a, b, 1_800_001).session).not.toEqual(first.session)
    expect(engine.live.size).toBe(2)
    broker.grant(a, node(), 3_600_001)
    expect(engine.live.size).toBe(2)
  })

  test('a member has no more sessions than its quota, and a revoked one has none', () => {
    const engine = table()
    const broker = new ForwardBroker({ ...limits, sessionsPerMember: 2 }, engine)
    const a = node()
    broker.grant(a, node(), 0)
    broker.grant(node(), a, 0)
    expect(() => broker.grant(a, node(), 0)).toThrow(expect.objectContaining({ code: 'limit-reached' }))
    expect(() => broker.grant(a, a, 0)).toThrow(expect.objectContaining({ code: 'bad-input' }))
    broker.cut(a)
    expect([broker.size, engine.live.size]).toEqual([0, 0])
  })

  test('at its quota of members a member still gets successors of the sessions that it has', () => {
    const broker = new ForwardBroker({ ...limits, sessionsPerMember: 1 }, table())
    const [a, b] = [node(), node()]
    const first = broker.grant(a, b, 0)
    expect(broker.grant(a, b, 1_800_001).session).not.toEqual(first.session)
    expect(broker.grant(a, b, 3_700_000).lifetimeMs).toBeGreaterThan(0)
  })

  test('a session that is used is filled up again, until its members have had their bytes of the hour', () => {
    const engine = table()
    const broker = new ForwardBroker(limits, engine)
    const [a, b, c] = [node(), node(), node()]
    const id = Buffer.from(broker.grant(a, b, 0).session).toString('hex')
    broker.grant(a, c, 0)
    expect(engine.live.get(id)?.quotaBytes).toBe(100)
    broker.review([{ id, quotaLeftBytes: 60 }], 1)
    expect(engine.live.get(id)?.quotaBytes).toBe(100) // not told anew: half is left
    broker.review([{ id, quotaLeftBytes: 10 }], 2)
    for (let round = 0; round < 10; round++) broker.review([{ id, quotaLeftBytes: 0 }], 3 + round)
    const filled = [...engine.live.values()]
    expect(filled[1]?.quotaBytes).toBe(0) // the other one of its sessions is closed,
    broker.review([{ id, quotaLeftBytes: 0 }], 14)
    expect(engine.live.get(id)).toBe(filled[0]) // and this one, which is used up, not filled any more
    expect(() => broker.grant(a, node(), 20)).toThrow(expect.objectContaining({ code: 'limit-reached' }))
    expect(broker.grant(c, node(), 20).lifetimeMs).toBeGreaterThan(0)
    broker.review(
      [...engine.live.values()].map(({ id: each, quotaBytes }) => ({ id: each, quotaLeftBytes: quotaBytes })),
      3_600_000,
    )
    expect(broker.grant(a, node(), 3_600_000).lifetimeMs).toBeGreaterThan(0)
  })

  test('what the engine refuses is not given, and leaves nothing behind', () => {
    let full = true
    const engine = table()
    const broker = new ForwardBroker(limits, {
      setSessions(add, removeIds) {
        if (full) throw new Error('no room')
        engine.setSessions(add, removeIds)
      },
    })
    const [a, b] = [node(), node()]
    expect(() => broker.grant(a, b, 0)).toThrow('no room')
    expect(broker.size).toBe(0)
    full = false
    const session = Buffer.from(broker.grant(a, b, 0).session).toString('hex')
    expect(engine.live.has(session)).toBe(true)
  })
})

describe('sessions with relays', () => {
  test('a relay that came back is asked at once, also where a request to what it was before still hangs', async () => {
    const [relay, peer] = [node(), node()]
    const asked: { reject: (reason: Error) => void }[] = []
    const sessions = new RelaySessions({
      request: () => new Promise((_resolve, reject) => asked.push({ reject })),
      changed: () => undefined,
      random: () => 1,
    })
    const fail = async () => {
      asked.at(-1)?.reject(new Error('gone'))
      await new Promise(setImmediate)
    }
    sessions.configure([relay], [peer], 0)
    for (let nowMs = 0; nowMs < 60_000; nowMs += 10_000) {
      sessions.poll(nowMs)
      await fail()
    }
    const before = asked.length
    expect(sessions.poll(60_000)).toBeGreaterThan(61_000)
    sessions.relayReturned(relay, 60_000)
    sessions.poll(60_000)
    expect(asked.length).toBe(before + 1)
    sessions.relayReturned(relay, 60_100)
    await fail()
    sessions.poll(60_100)
    expect(asked.length).toBe(before + 2)
  })
})
