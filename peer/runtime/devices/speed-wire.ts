import { bytes, decodeWith, encodeWith, field, struct, type UnionOf, uint, union } from '@ropewalk/shared/codec'

/** Name of the libp2p protocol: who asks is proven by the connection. */
export const SPEED_PROTOCOL = '/ropewalk/speed/1.0.0'

/** Most bytes that one request moves: what many of them may make the answering side hold is bounded by it. */
export const CHUNK_BYTES = 256 * 1_024

/** Most bytes of a request or an answer. */
export const MAX_SPEED_BYTES = CHUNK_BYTES + 64

const requests = {
  /** Carries bytes to the answering side, which answers with none. */
  up: [0, struct({ id: field(1, bytes(16)), content: field(2, bytes(0, CHUNK_BYTES)) })],
  /** Wants so many bytes. */
  down: [1, struct({ id: field(1, bytes(16)), size: field(2, uint(CHUNK_BYTES)) })],
} as const

const codec = union(requests)

/** One request of a measurement, which its random id holds together. */
export type SpeedRequest = UnionOf<typeof requests>

/** A request as bytes. */
export function encodeSpeed(request: SpeedRequest): Uint8Array {
  return encodeWith(codec, request)
}

/** A request out of bytes that may be hostile. @throws RopewalkError `too-large`, `bad-input` */
export function decodeSpeed(raw: Uint8Array): SpeedRequest {
  return decodeWith(codec, raw, MAX_SPEED_BYTES)
}
