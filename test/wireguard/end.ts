import type { LabNode, LabProcess } from '../lab/index.ts'
import type { SentPath } from './device-call.ts'
import type { KeyPair } from './keys.ts'

/** What an end of a tunnel is started with. */
export interface EndOptions {
  readonly node: LabNode
  readonly keys: KeyPair
  /** Inner addresses with prefix lengths. */
  readonly addresses: readonly string[]
  /** UDP. */
  readonly listenPort: number
  /** Of the inner interface; the implementation's own default unless said. */
  readonly mtu?: number
}

/** The other end, as this one is told of it. */
export interface Remote {
  readonly publicKey: Buffer
  readonly allowedIps: readonly string[]
  /** Absent: it must come to us. */
  readonly endpoint?: { readonly address: string; readonly port: number }
  /** All the ways to it instead of the endpoint; only for ours. */
  readonly paths?: readonly SentPath[]
  readonly presharedKey?: Buffer
  readonly keepaliveSeconds?: number
}

/** A running end of a WireGuard tunnel: a process in a node with a TUN. */
export interface End {
  readonly node: LabNode
  readonly publicKey: Buffer
  /** The first inner address. */
  readonly address: string
  readonly process: LabProcess
  /** Adds the peer, or changes it. */
  setPeer(remote: Remote): Promise<void>
  /** Seconds since the last handshake with the peer; null before the first. */
  handshakeAge(publicKey: Buffer): Promise<number | null>
  /** Where it sends packets for the peer; null while it does not know. */
  endpointOf(publicKey: Buffer): Promise<string | null>
  stop(): Promise<void>
}

/** The interface's name, in every node. */
export const DEVICE = 'wg0'
