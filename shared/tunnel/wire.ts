/** The Upgrade token and path of a control stream. */
export const TUNNEL_UPGRADE = 'ropewalk-tunnel/1'
/** Where a relay takes control streams. */
export const TUNNEL_PATH = '/tunnel'
/** The version this code speaks; a hello with another is refused with `version-mismatch`. */
export const TUNNEL_VERSION = 1

/** ALPN of the TLS between visitor and agent. */
export const STREAM_ALPN = 'ropewalk-stream/1'
/** TCP port on an agent's mesh address where visitors speak the inner protocol without a relay ("rope" on a keypad). */
export const MESH_STREAM_PORT = 7673

/** Most bytes of one control message, its length prefix not counted. */
export const MAX_CONTROL_BYTES = 65_536
/** Most bytes of a message before the sender has proven who it is. */
export const MAX_UNPROVEN_BYTES = 4096
/** Most bytes of a certificate bundle. */
export const MAX_BUNDLE_BYTES = 3072

/** Label of the TLS exporter (RFC 8446 §7.5) that ties proofs to their connection. */
export const EXPORTER_LABEL = 'EXPORTER-ropewalk-tunnel'
/** Bytes of the exporter value, of nonces, and of the key of data connections. */
export const NONCE_BYTES = 32
/** Bytes of a session id; the first half of a stream id. */
export const SESSION_BYTES = 8
/** Bytes of a stream id. */
export const STREAM_ID_BYTES = 16

/** An idle end says `ping` after this, and gives the other up when nothing came for twice as long. */
export const HEARTBEAT_IDLE_MS = 10_000
/** The same while a request waits for its answer. */
export const HEARTBEAT_BUSY_MS = 3000
