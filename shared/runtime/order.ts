import { parseAddress } from '@ropewalk/shared/addressing'
import {
  bytes,
  decodeWith,
  encodeWith,
  field,
  list,
  mapped,
  maybe,
  struct,
  type TypeOf,
  text,
  type UnionOf,
  uint,
  union,
  word,
} from '@ropewalk/shared/codec'
import { errorFromWire, RopewalkError } from '@ropewalk/shared/errors'
import { leaseId, MAX_LEASE_BYTES } from './lease.ts'
import { MAX_GPUS } from './resources.ts'

/** What a stream to a worker asks for to order: no service's name, so nothing that is exposed can stand in its way. */
export const ORDER_SERVICE = '~lease/1'

/** Most bytes of an order or an answer. */
export const MAX_ORDER_BYTES = MAX_LEASE_BYTES + 1_024

/** A reservation that is not committed is free again after this, in ms. */
export const RESERVATION_MS = 30_000

const address = mapped(text(45), parseAddress, String)

const orders = {
  /** Keep these devices free for the lease: the first that comes gets them. */
  reserve: [0, struct({ lease: field(1, bytes(1, MAX_LEASE_BYTES)) })],
  /** Start what was reserved. Only here, inside the proven stream, the cluster's token travels. */
  commit: [
    1,
    struct({
      id: field(1, leaseId),
      token: field(2, text(128, 32)),
      /** Where the cluster's head listens; absent for the head itself. */
      head: maybe(3, struct({ address: field(1, address), port: field(2, uint(65_535, 1)) })),
    }),
  ],
  /** A later statement of a running lease. */
  amend: [2, struct({ lease: field(1, bytes(1, MAX_LEASE_BYTES)) })],
  /** How it stands; answered when that is another state than the one named, or after some seconds. */
  look: [3, struct({ id: field(1, leaseId), unlike: maybe(2, text(16)) })],
  /** End it now; answered when nothing of it is left. */
  release: [4, struct({ id: field(1, leaseId) })],
} as const

const ordersCodec = union(orders)

/** What a hirer asks of a worker. What is refused comes back as an error with its code. */
export type Order = UnionOf<typeof orders>

/** Where in its life a lease is. */
export const LEASE_STATES = ['reserved', 'starting', 'running', 'failed', 'ending', 'over'] as const

/** Where in its life a lease is. */
export type LeaseState = (typeof LEASE_STATES)[number]

const standing = struct({
  state: field(1, word(...LEASE_STATES)),
  /** First port of its block. */
  ports: field(2, uint(65_535)),
  /** Ray's id of the node, once it runs. */
  rayNode: maybe(3, text(64)),
  /** A sentence for people: what it does, or why it failed. */
  note: maybe(4, text(500)),
  /** Numbers of the GPUs that the worker chose for it. */
  gpus: field(5, list(uint(MAX_GPUS - 1), MAX_GPUS)),
})

/** How a lease stands on its worker. */
export type LeaseStanding = TypeOf<typeof standing>

const repliesCodec = union({
  done: [0, struct({ standing: field(1, standing) })],
  refused: [1, struct({ code: field(1, text(40)), message: field(2, text(500)) })],
} as const)

/** An order as bytes. @throws RopewalkError `bad-input` */
export function encodeOrder(order: Order): Uint8Array {
  return encodeWith(ordersCodec, order)
}

/** An order out of bytes that may be hostile. @throws RopewalkError `too-large`, `bad-input` */
export function decodeOrder(raw: Uint8Array): Order {
  return decodeWith(ordersCodec, raw, MAX_ORDER_BYTES)
}

/** The worker's answer as bytes: how the lease stands, or why it refuses. */
export function encodeReply(reply: LeaseStanding | RopewalkError): Uint8Array {
  if (!(reply instanceof RopewalkError)) return encodeWith(repliesCodec, { kind: 'done', standing: reply })
  // a bug tells the outside nothing
  const message = reply.code === 'internal' ? '' : [...reply.message].slice(0, 120).join('')
  return encodeWith(repliesCodec, { kind: 'refused', code: reply.code, message })
}

/**
 * How a lease stands, out of an answer that may be hostile.
 * @throws RopewalkError the worker's refusal, `too-large`, `bad-input`
 */
export function decodeReply(raw: Uint8Array): LeaseStanding {
  const reply = decodeWith(repliesCodec, raw, MAX_ORDER_BYTES)
  if (reply.kind === 'refused') throw errorFromWire(reply.code, reply.message)
  return reply.standing
}
