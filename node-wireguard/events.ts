import type { WireguardError } from './errors.ts'
import type { Endpoint } from './options.ts'

/** What a path is good for: not answered yet, in use, works, unanswered for too long, dead. */
export type PathState = 'probing' | 'active' | 'standby' | 'suspect' | 'down'

/** What a device tells without being asked. `peer` is a public key (32 bytes). */
export type DeviceEvent =
  /** A new session with this peer is in use. */
  | { type: 'handshake'; peer: Uint8Array }
  /** Handshakes were tried for 90 s in vain; packets that waited are dropped. */
  | { type: 'handshake-failed'; peer: Uint8Array }
  | { type: 'path-state'; peer: Uint8Array; path: number; state: PathState; rttMs: number | undefined }
  /** Packets go by `path` from now on; undefined: no path works. */
  | { type: 'path-active'; peer: Uint8Array; path: number | undefined; previous: number | undefined }
  /**
   * Batches were lost on this path where single datagrams get through (trouble with segmentation offload): they leave
   * singly from now on. With `on`: in batches again, as a trial.
   */
  | { type: 'path-offload'; peer: Uint8Array; path: number; on: boolean }
  /** A vanilla peer was heard from a new address and is answered there. */
  | { type: 'endpoint'; peer: Uint8Array; remote: Endpoint }
  /** A packet waits for this peer and there is no path at all; once a second. */
  | { type: 'no-path'; peer: Uint8Array }
  /** An authenticated probe came from an unknown address; the device has made it a path of its own. */
  | { type: 'new-remote'; peer: Uint8Array; path: number; socket: number; remote: Endpoint }
  /** A STUN message came to one of the sockets. */
  | { type: 'control'; socket: number; from: Endpoint; bytes: Uint8Array }
  | { type: 'socket-error'; socket: number; message: string }
  /** A thread of the engine has failed; every call from now on throws the same. */
  | { type: 'error'; error: WireguardError }
  /** Events that were dropped because nobody took them in time. */
  | { type: 'lost'; count: number }
