export {
  type ControlKind,
  type ControlMessage,
  type ControlOf,
  controlDecoder,
  encodeControl,
} from './control.ts'
export type { FrameDecoder } from './frame.ts'
export {
  DATA_MAGIC,
  type DataHello,
  type DataKind,
  decodeHello,
  encodeHello,
  GO,
  HELLO_BYTES,
  helloIsBy,
  NO,
  partsOf,
  refusalByte,
  refusalCode,
  streamIdOf,
} from './hello.ts'
export type { TunnelMember, TunnelMembers } from './members.ts'
export { createOnceWindow, type OnceWindow } from './once.ts'
export { type ProofInput, type ProofRole, signProof, verifyProof } from './proof.ts'
export { parseRelayUrl, type RelayAddress } from './relay-address.ts'
export { type Admitted, objectionTo } from './standing.ts'
export { encodeStreamMessage, type StreamMessage, streamDecoder } from './stream.ts'
export * from './wire.ts'
