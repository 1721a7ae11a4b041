export type { StunAddress } from './address.ts'
export {
  decodeStun,
  encodeBindingRequest,
  encodeBindingSuccess,
  looksLikeStun,
  MAGIC_COOKIE,
  MAX_MESSAGE_BYTES,
  REQUEST_BYTES,
  type StunClass,
  type StunMessage,
} from './message.ts'
