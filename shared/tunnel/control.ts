import { bool, bytes, field, maybe, nodeId, struct, text, type UnionOf, uint, union, word } from '../codec/index.ts'
import { encodeFrame, type FrameDecoder, frameDecoder } from './frame.ts'
import {
  MAX_BUNDLE_BYTES,
  MAX_CONTROL_BYTES,
  MAX_UNPROVEN_BYTES,
  NONCE_BYTES,
  SESSION_BYTES,
  STREAM_ID_BYTES,
} from './wire.ts'

const streamId = bytes(STREAM_ID_BYTES)
const nonce = bytes(NONCE_BYTES)
const bundle = bytes(0, MAX_BUNDLE_BYTES)
const signature = bytes(64)
/** An ErrorCode; text, so that an older end can pass on what it does not know. */
const code = text(32, 1)
const sentence = text(300)

const CONTROL = {
  /** client → relay, first */
  hello: [
    1,
    struct({ version: field(1, uint(255, 1)), role: field(2, word('agent', 'visitor')), nonce: field(3, nonce) }),
  ],
  /** relay → client: the relay proves itself first, so that a false one learns nothing of the client */
  challenge: [2, struct({ nonce: field(1, nonce), bundle: field(2, bundle), signature: field(3, signature) })],
  /** client → relay */
  prove: [3, struct({ bundle: field(1, bundle), signature: field(2, signature) })],
  /** relay → client: in; `dataKey` is what data connections of this session are recognised by */
  welcome: [
    4,
    struct({
      session: field(1, bytes(SESSION_BYTES)),
      dataKey: field(2, bytes(NONCE_BYTES)),
      maxStreams: field(3, uint(1_000_000, 1)),
    }),
  ],
  /** agent → relay: ready for streams */
  register: [5, struct({ maxStreams: field(1, uint(1_000_000, 1)) })],
  /** visitor → relay with `peer`: a stream to that agent; relay → agent without: bring a data connection for it */
  open: [6, struct({ stream: field(1, streamId), peer: maybe(2, nodeId) })],
  /** Either way: the open is not wanted any more. */
  cancel: [7, struct({ stream: field(1, streamId) })],
  /** Either way: the stream is broken off, and why. */
  reset: [8, struct({ stream: field(1, streamId), code: field(2, code), message: field(3, sentence) })],
  /** Either way; the answer is the same with `reply`. */
  ping: [9, struct({ id: field(1, uint(0xffff_ffff)), reply: field(2, bool) })],
  /** relay → client: about to stop; no new streams, go elsewhere */
  drain: [10, struct({ code: field(1, code), message: field(2, sentence) })],
  /** relay → client: this control stream is refused; it closes after */
  refuse: [11, struct({ code: field(1, code), message: field(2, sentence) })],
} as const

const controlCodec = union(CONTROL)

/** A message of a control stream. */
export type ControlMessage = UnionOf<typeof CONTROL>
/** The kinds of control messages. */
export type ControlKind = ControlMessage['kind']
/** One kind of control message. */
export type ControlOf<K extends ControlKind> = Extract<ControlMessage, { readonly kind: K }>

/** A control message with its length in front. @throws RopewalkError when we would refuse it ourselves */
export function encodeControl(message: ControlMessage): Uint8Array {
  return encodeFrame(controlCodec, message, MAX_CONTROL_BYTES)
}

/** Reads control messages out of a byte stream; at most 4 KiB a message until {@link FrameDecoder.trust}. */
export function controlDecoder(): FrameDecoder<ControlMessage> {
  return frameDecoder(controlCodec, { maxBytes: MAX_UNPROVEN_BYTES, trustedBytes: MAX_CONTROL_BYTES })
}
