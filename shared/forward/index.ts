export {
  decodeForwardGrant,
  decodeForwardRequest,
  encodeForwardGrant,
  encodeForwardRequest,
  FORWARD_LIMIT_BYTES,
  FORWARD_PROTOCOL,
  FORWARD_SESSION_MS,
  type ForwardEndpoint,
  type ForwardGrant,
  type ForwardRequest,
} from './forward.ts'
