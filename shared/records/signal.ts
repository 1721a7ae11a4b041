import {
  bytes,
  decodeWith,
  encodeWith,
  field,
  list,
  maybe,
  nodeId,
  struct,
  type TypeOf,
  uint,
  word,
} from '@ropewalk/shared/codec'
import { candidates, natClass } from './candidate.ts'

/** Name of the libp2p protocol. */
export const SIGNAL_PROTOCOL = '/ropewalk/signal/1.0.0'

/** Most bytes of a signal. */
export const MAX_SIGNAL_BYTES = 4_096

const body = struct({
  /** `call` asks for an answer; `answer` is one. */
  kind: field(1, word('call', 'answer')),
  /** Chosen by the caller; the answer repeats it. */
  round: field(2, bytes(8)),
  /** UDP candidates of the sender's engine, now. */
  candidates: field(3, candidates),
  nat: field(4, natClass),
  /** Relays whose forwarder the sender can use, best first. */
  relays: field(5, list(nodeId, 8)),
  /** Begin to punch this long after sending or receiving it, in ms. */
  punchInMs: maybe(6, uint(10_000)),
})

/** "These are my candidates now, punch now." */
export type Signal = TypeOf<typeof body>

/** A signal as bytes. */
export function encodeSignal(signal: Signal): Uint8Array {
  return encodeWith(body, signal)
}

/** A signal out of bytes that may be hostile. @throws RopewalkError `too-large`, `bad-input` */
export function decodeSignal(raw: Uint8Array): Signal {
  return decodeWith(body, raw, MAX_SIGNAL_BYTES)
}
