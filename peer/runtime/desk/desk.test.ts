import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toRopewalkError } from '@ropewalk/shared/errors'
import { generateSigningKey, networkIdOf, type SigningKey } from '@ropewalk/shared/identity'
import { silentLogger } from '@ropewalk/shared/logger'
import {
  decodeReply,
  encodeOrder,
  type Lease,
  type LeaseId,
  leaseIdOf,
  type Order,
  signLease,
} from '@ropewalk/shared/runtime'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { DiscoveryEvent, Member } from '../../discovery/index.ts'
import { openState } from '../../state/index.ts'
import { createDesk, type Desk, type Host, openSpentLeases } from './index.ts'

const HOUR_MS = 3_600_000
const network = networkIdOf(generateSigningKey().publicKey)
const worker = generateSigningKey().nodeId
const token = 'f'.repeat(64)

/** As far as a desk looks at a member. */
const memberOf = (key: SigningKey, name: string, rights: Member['rights'] = ['hire']) =>
  ({ nodeId: key.nodeId, name, rights }) as Member

const [aKey, bKey] = [generateSigningKey(), generateSigningKey()]
const [alice, bob] = [memberOf(aKey, 'alice'), memberOf(bKey, 'bob')]

/** What the program listens on, as far as its host knows. */
let own: readonly number[] = []

/** A program of this machine in Ray's place: alive at once, and stubborn until it is killed. */
const sleeps: Host = {
  check: async () => undefined,
  async start() {
    const child = spawn('sleep', ['60'])
    await once(child, 'spawn')
    const ended = once(child, 'exit')
    return {
      ready: Promise.resolve(String(child.pid)),
      ended: ended.then(() => ({ tail: 'killed' })),
      ownPorts: async () => own,
      stop: async () => {
        child.kill('SIGKILL')
        await ended
      },
    }
  },
}

let folder = ''
let desk: Desk
let tell: (event: DiscoveryEvent) => void
const open = async () => {
  const spent = await openSpentLeases((await openState(folder)).spent, silentLogger)
  const discovery = {
    onChange: (listener: typeof tell) => {
      tell = listener
      return () => undefined
    },
  }
  const capacity = async () => ({ cpus: 4, memoryMiB: 4_096, gpus: 2 })
  const opened = createDesk(
    { network, self: worker, maxLeaseMs: HOUR_MS },
    { discovery, host: sleeps, spent, capacity, logger: silentLogger },
  )
  await opened.start()
  return opened
}
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'desk-'))
  desk = await open()
})
afterEach(async () => {
  await desk.stop()
  await rm(folder, { recursive: true })
})

const leaseOf = (change: Partial<Lease> = {}): Omit<Lease, 'hirer'> => ({
  network,
  id: leaseIdOf(randomBytes(16)),
  seq: 0,
  worker,
  cluster: 'one',
  devices: { cpus: 1, memoryMiB: 512, gpus: 0 },
  members: [worker],
  notBeforeMs: Date.now(),
  notAfterMs: Date.now() + HOUR_MS / 2,
  ...change,
})
const give = async (order: Order, from = alice) => decodeReply(await desk.answer(encodeOrder(order), from))
const reserve = (lease: Omit<Lease, 'hirer'>, key = aKey, from = alice) =>
  give({ kind: 'reserve', lease: signLease(lease, key).bytes }, from)
const refusal = (asked: Promise<unknown>) =>
  asked.then(
    () => 'accepted',
    (error: unknown) => toRopewalkError(error).code,
  )

describe('a worker’s desk', () => {
  test('reserves, starts, opens the ports to the members, and ends without a trace', async () => {
    const lease = leaseOf()
    const { state, ports } = await reserve(lease)
    expect(state).toBe('reserved')
    expect(desk.list()).toEqual([])
    await give({ kind: 'commit', id: lease.id, token })
    const running = await give({ kind: 'look', id: lease.id, unlike: 'starting' })
    expect(running).toMatchObject({ state: 'running', ports, rayNode: expect.stringMatching(/^\d+$/) })
    expect(desk.list()).toEqual([{ to: [alice.nodeId, worker], ports: [ports, ports + 99] }])
    expect(await give({ kind: 'release', id: lease.id })).toMatchObject({ state: 'over' })
    expect(desk.list()).toEqual([])
    expect(() => process.kill(Number(running.rayNode), 0)).toThrow(/ESRCH/)
  })

  test('refuses what is forged, foreign, out of its time, too long, or without the right, and says why', async () => {
    const nowMs = Date.now()
    for (const [code, change] of [
      ['wrong-network', { network: networkIdOf(generateSigningKey().publicKey) }],
      ['wrong-key', { worker: bob.nodeId, members: [bob.nodeId] }],
      ['bad-statement', { members: [bob.nodeId] }],
      ['bad-statement', { members: [worker, worker] }],
      ['bad-statement', { notBeforeMs: nowMs, notAfterMs: nowMs }],
      ['clock-skew', { notBeforeMs: nowMs + HOUR_MS, notAfterMs: nowMs + 2 * HOUR_MS }],
      ['lease-expired', { notBeforeMs: nowMs - 2, notAfterMs: nowMs - 1 }],
      ['lease-too-long', { notAfterMs: nowMs + 2 * HOUR_MS }],
      ['devices-taken', { devices: { cpus: 5, memoryMiB: 1, gpus: 0 } }],
      ['devices-taken', { devices: { cpus: 1, memoryMiB: 1, gpus: 3 } }],
    ] as const) {
      expect([code, await refusal(reserve(leaseOf(change)))]).toEqual([code, code])
    }
    expect(await refusal(reserve(leaseOf(), bKey, alice))).toBe('wrong-key') // another's lease
    expect(await refusal(reserve(leaseOf(), aKey, memberOf(aKey, 'alice', [])))).toBe('missing-right')
    expect(await refusal(give({ kind: 'reserve', lease: randomBytes(200) }))).toBe('bad-statement')
    const { bytes } = signLease(leaseOf(), aKey)
    bytes[40] = (bytes[40] ?? 0) ^ 1
    expect(await refusal(give({ kind: 'reserve', lease: bytes }))).toMatch(/^bad-/)
    expect(decodeFailure(await desk.answer(randomBytes(64), alice))).toBe('bad-input')
    expect(desk.leases()).toEqual([])
  })

  test('takes no lease twice: not while it runs, not when it is over, not after a restart', async () => {
    const lease = leaseOf()
    expect((await reserve(lease)).ports).toBe((await reserve(lease)).ports) // the answer may have been lost
    await give({ kind: 'commit', id: lease.id, token })
    expect(await refusal(reserve(lease))).toBe('lease-spent')
    await give({ kind: 'release', id: lease.id })
    expect(await refusal(reserve(lease))).toBe('lease-spent')
    await desk.stop()
    desk = await open()
    expect(await refusal(reserve(lease))).toBe('lease-spent')
  })

  test('gives a device to exactly one of two who order it at once', async () => {
    const wish = () => leaseOf({ devices: { cpus: 1, memoryMiB: 1, gpus: 2 } })
    for (let round = 0; round < 20; round++) {
      const [one, two] = [wish(), wish()]
      const outcomes = await Promise.all([refusal(reserve(one)), refusal(reserve(two, bKey, bob))])
      expect(outcomes.toSorted()).toEqual(['accepted', 'devices-taken'])
      await Promise.allSettled([give({ kind: 'release', id: one.id }), give({ kind: 'release', id: two.id }, bob)])
    }
  })

  test('chooses GPUs that nobody has', async () => {
    const gpus = async (lease = leaseOf({ devices: { cpus: 1, memoryMiB: 1, gpus: 1 } })) => [
      lease.id,
      (await reserve(lease)).gpus,
    ]
    const [[first, ...one], [, ...two]] = [await gpus(), await gpus()]
    expect([one, two]).toEqual([[[0]], [[1]]])
    expect(await refusal(reserve(leaseOf({ devices: { cpus: 1, memoryMiB: 1, gpus: 1 } })))).toBe('devices-taken')
    await give({ kind: 'release', id: first as LeaseId })
    expect((await gpus())[1]).toEqual([0])
  })

  test('opens what it listens on by its own choice, as long as it does', async () => {
    const lease = leaseOf()
    const { ports } = await reserve(lease)
    await give({ kind: 'commit', id: lease.id, token })
    const opened = () => desk.list().map((grant) => grant.ports)
    own = [40_001, 40_000, 40_001]
    await vi.waitUntil(() => opened().length > 1, 2_000)
    expect(opened()).toEqual([
      [ports, ports + 99],
      [40_000, 40_000],
      [40_001, 40_001],
    ])
    own = []
    await vi.waitUntil(() => opened().length === 1, 2_000)
    own = Array.from({ length: 1_000 }, (_, index) => 30_000 + index)
    await vi.waitUntil(() => opened().length > 1, 2_000)
    expect(opened().length).toBe(1 + 256)
    own = []
  })

  test('lets nobody else look at, start, change or end a lease', async () => {
    const lease = leaseOf()
    await reserve(lease)
    for (const order of [
      { kind: 'commit', id: lease.id, token },
      { kind: 'look', id: lease.id },
      { kind: 'release', id: lease.id },
      { kind: 'amend', lease: signLease({ ...lease, seq: 1 }, bKey).bytes },
    ] as const) {
      expect(await refusal(give(order, bob))).toBe('not-found')
    }
    expect((await give({ kind: 'look', id: lease.id })).state).toBe('reserved')
  })

  test('takes a later statement for more time and other members, not an older one nor one for other devices', async () => {
    const lease = leaseOf()
    await reserve(lease)
    const amend = (change: Partial<Lease>) =>
      give({ kind: 'amend', lease: signLease({ ...lease, ...change }, aKey).bytes })
    const members = [worker, bob.nodeId]
    await amend({ seq: 2, members })
    expect(desk.leases()[0]?.lease.members).toEqual(members)
    expect(await refusal(amend({ seq: 2 }))).toBe('stale-statement')
    expect(await refusal(amend({ seq: 3, devices: { cpus: 4, memoryMiB: 512, gpus: 0 } }))).toBe('bad-statement')
    expect(await refusal(amend({ seq: 3, notAfterMs: Date.now() + 2 * HOUR_MS }))).toBe('lease-too-long')
  })

  test('ends a lease at its time, and when its hirer is revoked', async () => {
    const short = leaseOf({ notAfterMs: Date.now() + 700 })
    const long = leaseOf()
    for (const { id } of [short, long]) {
      await reserve(id === short.id ? short : long)
      await give({ kind: 'commit', id, token })
    }
    await give({ kind: 'look', id: short.id, unlike: 'starting' })
    const stateOf = (id: string) => desk.leases().find(({ lease }) => lease.id === id)?.state
    await vi.waitUntil(() => stateOf(short.id) === 'over', 2_700)
    expect(stateOf(long.id)).toBe('running')
    tell({ kind: 'revoked', member: alice })
    await vi.waitUntil(() => stateOf(long.id) === 'over', 2_000)
  })

  test('is told by its owner to end a lease, by the first digits of its id', async () => {
    const lease = leaseOf()
    await reserve(lease)
    await give({ kind: 'commit', id: lease.id, token })
    await expect(desk.end('f'.repeat(31))).rejects.toMatchObject({ code: 'not-found' })
    await desk.end(lease.id.slice(0, 12))
    expect(await give({ kind: 'look', id: lease.id })).toMatchObject({
      state: 'over',
      note: expect.stringMatching(/owner/),
    })
  })

  test('says when what it started ended by itself', async () => {
    const lease = leaseOf()
    await reserve(lease)
    await give({ kind: 'commit', id: lease.id, token })
    const { rayNode } = await give({ kind: 'look', id: lease.id, unlike: 'starting' })
    process.kill(Number(rayNode), 'SIGKILL')
    const failed = await give({ kind: 'look', id: lease.id, unlike: 'running' })
    expect(failed).toMatchObject({ state: 'failed', note: expect.stringContaining('ended by itself') })
    expect(desk.list()).toEqual([])
  })
})

function decodeFailure(reply: Uint8Array): string {
  try {
    decodeReply(reply)
    return 'accepted'
  } catch (error) {
    return toRopewalkError(error).code
  }
}
