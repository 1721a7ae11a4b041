import { bytes, field, struct, text, type UnionOf, uint, union } from '../codec/index.ts'
import { encodeFrame, type FrameDecoder, frameDecoder } from './frame.ts'
import { MAX_BUNDLE_BYTES, MAX_UNPROVEN_BYTES } from './wire.ts'

const STREAM = {
  /** visitor → agent, first inside the inner TLS: a service by name, or a port (`8888`, `5353/udp`) */
  request: [
    1,
    struct({
      version: field(1, uint(255, 1)),
      service: field(2, text(64, 1)),
      bundle: field(3, bytes(0, MAX_BUNDLE_BYTES)),
    }),
  ],
  /** agent → visitor: the target is connected, bytes follow */
  accepted: [2, struct({})],
  /** agent → visitor: no, and it closes */
  refused: [3, struct({ code: field(1, text(32, 1)), message: field(2, text(300)) })],
} as const

const streamCodec = union(STREAM)

/** A message at the head of a stream between visitor and agent. */
export type StreamMessage = UnionOf<typeof STREAM>

/** A head message with its length in front. */
export function encodeStreamMessage(message: StreamMessage): Uint8Array {
  return encodeFrame(streamCodec, message, MAX_UNPROVEN_BYTES)
}

/** Reads head messages; use `first`, since the stream's own bytes follow. */
export function streamDecoder(): FrameDecoder<StreamMessage> {
  return frameDecoder(streamCodec, { maxBytes: MAX_UNPROVEN_BYTES })
}
