import {
  bytes,
  decodeWith,
  encodeWith,
  field,
  list,
  maybe,
  nodeId,
  struct,
  tuple,
  type UnionOf,
  uint,
  union,
} from '@ropewalk/shared/codec'
import type { NodeId } from '@ropewalk/shared/identity'
import { MAX_BUNDLE_BYTES, MAX_MEMBERS, MAX_POLICY_BYTES, MAX_REVOCATIONS_BYTES } from '@ropewalk/shared/membership'
import { MAX_RECORD_BYTES } from './record.ts'

/** Name of the libp2p protocol. */
export const SYNC_PROTOCOL = '/ropewalk/sync/1.0.0'

/** Most bytes of one sync message. */
export const MAX_SYNC_BYTES = 4 * 1_024 * 1_024

/** Most records and bundles of one PUSH. */
export const PUSH_CHUNK = 500

/** What one side holds of one node: the seq of its record (0: none), and the date of its admission in ms (0: no bundle). */
export interface Holding {
  readonly nodeId: NodeId
  readonly seq: number
  readonly admittedAtMs: number
}

const holding = struct({ nodeId: field(1, nodeId), seq: field(2, uint()), admittedAtMs: field(3, uint()) })
const holdings = list(holding, MAX_MEMBERS)
const version = tuple(uint(), bytes(0, 32))
const lists = {
  /** Seq and hash of the revocation list that is known (0 and nothing: none). */
  revocations: field(1, version),
  /** Seq and hash of the policy that is known (0 and nothing: none). */
  policy: field(2, version),
}

const variants = {
  /** The first message of both sides: own bundle and record, and all they hold. */
  hello: [
    0,
    struct({
      ...lists,
      bundle: field(3, bytes(1, MAX_BUNDLE_BYTES)),
      record: maybe(4, bytes(1, MAX_RECORD_BYTES)),
      have: field(5, holdings),
    }),
  ],
  /** Statements the other side lacks. */
  push: [
    1,
    struct({
      bundles: field(1, list(bytes(1, MAX_BUNDLE_BYTES), PUSH_CHUNK)),
      records: field(2, list(bytes(1, MAX_RECORD_BYTES), PUSH_CHUNK)),
      revocations: maybe(3, bytes(1, MAX_REVOCATIONS_BYTES)),
      policy: maybe(4, bytes(1, MAX_POLICY_BYTES + 512)),
    }),
  ],
  /** Hash over all that is held, now and then: equal hashes mean nothing is missing. */
  digest: [2, struct({ hash: field(1, bytes(32)) })],
  /** The answer to a digest that differs. */
  have: [3, struct({ ...lists, have: field(3, holdings) })],
  /** Asks for what the other side holds newer. */
  pull: [4, struct({ nodes: field(1, list(nodeId, MAX_MEMBERS)) })],
  /** A relay hears nothing any more of these nodes, as of their records' seq; a newer record has the last word. */
  silence: [5, struct({ nodes: field(1, list(tuple(nodeId, uint()), MAX_MEMBERS)) })],
} as const

const codec = union(variants)

/** A message of the record sync. */
export type SyncMessage = UnionOf<typeof variants>

/** A sync message as bytes. */
export function encodeSync(message: SyncMessage): Uint8Array {
  return encodeWith(codec, message)
}

/** A sync message out of bytes that may be hostile. @throws RopewalkError `too-large`, `bad-input` */
export function decodeSync(raw: Uint8Array): SyncMessage {
  return decodeWith(codec, raw, MAX_SYNC_BYTES)
}
