import {
  bytes,
  type Codec,
  decodeWith,
  encodeWith,
  field,
  list,
  nodeId,
  struct,
  text,
  uint,
} from '@ropewalk/shared/codec'
import type { NodeId } from '@ropewalk/shared/identity'

/** The libp2p protocol by which a member asks a relay for a forwarder session with another member. */
export const FORWARD_PROTOCOL = '/ropewalk/forward/1.0.0'
/** Most bytes of a request or a grant. */
export const FORWARD_LIMIT_BYTES = 1024
/** A session lives this long at most; members ask again at half of it. */
export const FORWARD_SESSION_MS = 60 * 60_000

/** "A session between me and this member, please." Who asks is proven by the connection. */
export interface ForwardRequest {
  readonly peer: NodeId
}

/** Where the forwarder listens. */
export interface ForwardEndpoint {
  readonly address: string
  readonly port: number
}

/** One member's side of a session: the other side gets a slot and a secret of its own. */
export interface ForwardGrant {
  /** Names the pair's session in logs; no secret. */
  readonly session: Uint8Array
  /** What this member writes into the header of its datagrams, and finds in those for it. */
  readonly slot: number
  /** 32 bytes; proves to the forwarder that an address is this member's. */
  readonly secret: Uint8Array
  /** How long it is good for from now, in ms: a duration, since clocks differ. */
  readonly lifetimeMs: number
  readonly endpoints: readonly ForwardEndpoint[]
}

const request: Codec<ForwardRequest> = struct({ peer: field(1, nodeId) })

const endpoint: Codec<ForwardEndpoint> = struct({ address: field(1, text(45, 2)), port: field(2, uint(65_535, 1)) })

const grant: Codec<ForwardGrant> = struct({
  session: field(1, bytes(16)),
  slot: field(2, uint(0xffff_ffff, 1)),
  secret: field(3, bytes(32)),
  lifetimeMs: field(4, uint(FORWARD_SESSION_MS)),
  endpoints: field(5, list(endpoint, 8)),
})

export const encodeForwardRequest = (value: ForwardRequest): Uint8Array => encodeWith(request, value)
/** @throws RopewalkError `too-large` or `bad-input` */
export const decodeForwardRequest = (from: Uint8Array): ForwardRequest => decodeWith(request, from, FORWARD_LIMIT_BYTES)
export const encodeForwardGrant = (value: ForwardGrant): Uint8Array => encodeWith(grant, value)
/** @throws RopewalkError `too-large` or `bad-input` */
export const decodeForwardGrant = (from: Uint8Array): ForwardGrant => decodeWith(grant, from, FORWARD_LIMIT_BYTES)
