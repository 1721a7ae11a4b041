import { randomBytes } from 'node:crypto'
import { parseAddress } from '@ropewalk/shared/addressing'
import { isRopewalkError, RopewalkError } from '@ropewalk/shared/errors'
import { expectOnlyTypedErrors } from '@ropewalk/shared/hostile'
import { generateSigningKey, networkIdOf } from '@ropewalk/shared/identity'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  BLOCK_PORTS,
  BLOCKS,
  decodeOrder,
  decodeReply,
  encodeOrder,
  encodeReply,
  FIRST_BLOCK_PORT,
  isBlock,
  type LeaseStanding,
  leaseIdOf,
  type Order,
  openLease,
  rayPort,
  signLease,
  tierOf,
  tierReaches,
  WORKER_PORTS,
} from './index.ts'

const hirer = generateSigningKey()
const worker = generateSigningKey().nodeId
const lease = {
  network: networkIdOf(generateSigningKey().publicKey),
  id: leaseIdOf(randomBytes(16)),
  seq: 0,
  worker,
  cluster: 'one',
  devices: { cpus: 2, memoryMiB: 1_024, gpus: 2 },
  members: [worker],
  notBeforeMs: 1_000,
  notAfterMs: 2_000,
}
const code = (run: () => unknown): unknown => {
  try {
    run()
    return 'accepted'
  } catch (error) {
    return isRopewalkError(error) ? error.code : error
  }
}

describe('a lease', () => {
  test('says what was signed, and by whom', () => {
    const { bytes } = signLease(lease, hirer)
    expect(openLease(bytes).body).toEqual({ ...lease, hirer: hirer.nodeId })
  })

  test('does not hold with another hirer’s signature, or a changed byte', () => {
    const { bytes } = signLease(lease, hirer)
    for (let at = 0; at < bytes.length; at++) {
      const changed = new Uint8Array(bytes)
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(code(() => openLease(changed))).toMatch(/^bad-(signature|statement)$/)
    }
  })

  test('of the largest cluster fits, and one member more cannot be signed', () => {
    const members = Array.from({ length: 64 }, () => generateSigningKey().nodeId)
    expect(openLease(signLease({ ...lease, members }, hirer).bytes).body.members).toEqual(members)
    expect(code(() => signLease({ ...lease, members: [...members, worker] }, hirer))).toBe('bad-statement')
  })

  test('meets hostile bytes with typed errors only', () => {
    expectOnlyTypedErrors(signLease(lease, hirer).bytes, openLease, 3_000)
  })
})

const orders: readonly Order[] = [
  { kind: 'reserve', lease: signLease(lease, hirer).bytes },
  { kind: 'commit', id: lease.id, token: 'x'.repeat(64) },
  { kind: 'commit', id: lease.id, token: 'x'.repeat(64), head: { address: parseAddress('100.88.0.1'), port: 20_000 } },
  { kind: 'amend', lease: signLease({ ...lease, seq: 1 }, hirer).bytes },
  { kind: 'look', id: lease.id, unlike: 'running' },
  { kind: 'release', id: lease.id },
]

describe('an order', () => {
  test.each(orders)('to $kind is read back as it was written', (order) => {
    expect(decodeOrder(encodeOrder(order))).toEqual(order)
  })

  test('and its answer meet hostile bytes with typed errors only', () => {
    for (const order of orders) expectOnlyTypedErrors(encodeOrder(order), decodeOrder, 1_000)
    expectOnlyTypedErrors(
      encodeReply({ state: 'running', ports: 20_000, rayNode: 'ab', gpus: [1] }),
      decodeReply,
      1_000,
    )
  })

  test('is answered by how the lease stands, or by the reason of a refusal', () => {
    const standing: LeaseStanding = { state: 'failed', ports: 20_100, note: 'no reason', gpus: [0, 15] }
    expect(decodeReply(encodeReply(standing))).toEqual(standing)
    const refusal = new RopewalkError('devices-taken', 'GPU 0 is leased')
    expect(code(() => decodeReply(encodeReply(refusal)))).toBe('devices-taken')
    expect(() => decodeReply(encodeReply(new RopewalkError('internal', 'a secret of ours')))).not.toThrow(/secret/)
  })
})

describe('tiers', () => {
  test('follow the slower direction', () => {
    expect(tierOf({ upMbps: 20, downMbps: 5_000 })).toBe('low')
    expect(tierOf({ upMbps: 100, downMbps: 100 })).toBe('medium')
    expect(tierOf({ upMbps: 1_000, downMbps: 9_999 })).toBe('high')
    expect(tierOf({ upMbps: 10_000, downMbps: 10_000 })).toBe('ultra')
  })

  test('a faster link never has a lower tier, and no measurement is the lowest', () => {
    const speed = fc.double({ min: 0, max: 1e6, noNaN: true })
    fc.assert(
      fc.property(speed, speed, speed, (upMbps, downMbps, more) => {
        const faster = tierOf({ upMbps: upMbps + more, downMbps: downMbps + more })
        expect(tierReaches(faster, tierOf({ upMbps, downMbps }))).toBe(true)
      }),
    )
    expect([tierReaches(undefined, 'low'), tierReaches(undefined, 'medium')]).toEqual([true, false])
  })
})

test('blocks of ports do not overlap, lie below those of outgoing connections, and hold every port of Ray', () => {
  const last = FIRST_BLOCK_PORT + (BLOCKS - 1) * BLOCK_PORTS
  expect(last + BLOCK_PORTS).toBeLessThanOrEqual(32_768)
  expect([
    isBlock(FIRST_BLOCK_PORT),
    isBlock(last),
    isBlock(last + BLOCK_PORTS),
    isBlock(FIRST_BLOCK_PORT + 1),
  ]).toEqual([true, true, false, false])
  expect(rayPort(FIRST_BLOCK_PORT, 'serveGrpc')).toBeLessThan(FIRST_BLOCK_PORT + WORKER_PORTS[0])
})
