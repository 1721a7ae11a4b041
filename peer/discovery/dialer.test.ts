import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { RopewalkError } from '@ropewalk/shared/errors'
import { RECORD_TTL_MS, signRecord } from '@ropewalk/shared/records'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { raceAddresses } from './address-race.ts'
import { Dialer } from './dialer.ts'
import { Registry } from './registry.ts'
import { RogueHost } from './rogue-host.ts'
import { addressOf, TestMesh, type TestNode, until, wayTo } from './test-mesh.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 20_000 }) // real hosts, on a machine that may be busy

describe('a race of addresses', () => {
  const race = (attempt: (address: number, signal: AbortSignal) => Promise<string>, count: number, atOnce = 8) =>
    raceAddresses(
      Array.from({ length: count }, (_, i) => i),
      attempt,
      { signal: AbortSignal.timeout(5_000), staggerMs: 20, atOnce },
    )
  const never = (signal: AbortSignal): Promise<never> =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

  test('is won by one that answers while those before it hang, and ends the others', async () => {
    const aborted: number[] = []
    const winner = await race((address, signal) => {
      signal.addEventListener('abort', () => aborted.push(address))
      return address === 3 ? Promise.resolve('three') : never(signal)
    }, 6)
    await turn()
    expect([winner, aborted]).toEqual(['three', [0, 1, 2, 3]])
  })

  test('does not wait where one fails at once, and tells the first failure when all did', async () => {
    const began = performance.now()
    const failing = race(async (address) => {
      throw new Error(`no ${address}`)
    }, 100)
    await expect(failing).rejects.toThrow('no 0')
    expect(performance.now() - began).toBeLessThan(1_000) // 100 × 20 ms, had each waited
  })

  test('keeps to its limit at once', async () => {
    let [running, most] = [0, 0]
    const attempt = async (address: number): Promise<string> => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, 60))
      running--
      if (address === 9) return 'nine'
      throw new Error('no')
    }
    expect(await race(attempt, 10, 2)).toBe('nine')
    expect(most).toBe(2)
  })

  test('ends with its signal, and knows that there may be nothing to try', async () => {
    const signal = AbortSignal.timeout(50)
    const hanging = raceAddresses([1, 2], (_address, both) => never(both), { signal, staggerMs: 5, atOnce: 2 })
    await expect(hanging).rejects.toMatchObject({ name: 'TimeoutError' })
    await expect(race(never as never, 0)).rejects.toBeInstanceOf(RopewalkError)
  })
})

describe('a dial', () => {
  let mesh: TestMesh
  let relay: TestNode
  let rogue: RogueHost
  let registry: Registry
  let dialer: Dialer
  let tarpit: Server
  let stuck: string
  const caught = new Set<Socket>()

  beforeEach(async () => {
    mesh = new TestMesh()
    relay = mesh.admitted('relay')
    await relay.discovery.start()
    const self = mesh.admitted('self', { rights: [] })
    rogue = await RogueHost.create(mesh.network, self.key, self.memory.bundle)
    registry = new Registry({ network: mesh.network, self: self.key.nodeId, now: Date.now })
    registry.acceptBundle(relay.memory.bundle)
    dialer = new Dialer({ registry, waysIn: [], fetcher: () => Promise.reject(new RopewalkError('unreachable')) })
    dialer.start(rogue.dialing)
    // takes connections and never says a word: worse than an address that nobody has
    tarpit = createServer((socket) => caught.add(socket.on('error', () => undefined))).listen(0, '0.0.0.0')
    await once(tarpit, 'listening')
    stuck = `/tcp/${(tarpit.address() as AddressInfo).port}`
  })
  afterEach(async () => {
    for (const socket of caught) socket.destroy()
    tarpit.close()
    await rogue.stop()
    await mesh.stop()
  })

  const traps = (count: number): string[] => Array.from({ length: count }, (_, i) => `/ip4/127.0.0.${i + 1}${stuck}`)
  const record = (addresses: string[]): void => {
    const nothing = { candidates: [], relays: [], services: [], sshHostKeys: [], routes: [], neighbours: [] }
    const seq = (relay.discovery.self.record?.seq ?? 0) + 1
    const body = {
      ...nothing,
      addresses,
      certificateHash: relay.discovery.self.certificate,
      seq,
      ttlMs: RECORD_TTL_MS,
      nat: 'unknown' as const,
    }
    registry.acceptRecord(signRecord(body, relay.key).bytes)
  }
  const connect = async (): Promise<number> => {
    const began = performance.now()
    const connection = await dialer.connect(relay.key.nodeId, AbortSignal.timeout(8_000))
    expect(connection.remotePeer.toString()).toBe(relay.key.nodeId)
    return performance.now() - began
  }

  test('is not delayed by what a stranger announces on the local network', async () => {
    dialer.hear(relay.key.nodeId, traps(8))
    record([addressOf(relay)])
    expect(dialer.addressesOf(relay.key.nodeId).length).toBe(9)
    expect(await connect()).toBeLessThan(1_500)
  })

  test('does not wait for dead addresses of a record, nor is it led to somebody else', async () => {
    const other = mesh.joiner('other', { waysIn: [wayTo(relay)] })
    await other.discovery.start()
    await until(relay, () => relay.discovery.member('other') !== undefined, 'the other is there')
    const elsewhere = addressOf(other).replace(/\/p2p\/.*/, '')
    record([...traps(3), elsewhere, addressOf(relay)])
    expect(await connect()).toBeLessThan(3_000) // 5 s each, one after the other
  })

  test('finds who is known from the local network alone', async () => {
    dialer.hear(relay.key.nodeId, [addressOf(relay)])
    expect(await connect()).toBeLessThan(1_500)
  })
})
