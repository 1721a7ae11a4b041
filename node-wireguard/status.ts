import type { PathState } from './events.ts'
import type { Endpoint, Prefix } from './options.ts'

/** A local UDP socket of a device. */
export type SocketInfo = { id: number } & Endpoint

/** A device at one moment. Bytes are those of UDP payloads; times are milliseconds. */
export type DeviceStatus = {
  publicKey: Uint8Array
  mtu: number
  /** Mark of the outer packets; 0: none. */
  fwmark: number
  addresses: Prefix[]
  sockets: SocketInfo[]
  peers: PeerStatus[]
}

export type PeerStatus = {
  publicKey: Uint8Array
  vanilla: boolean
  /** Milliseconds since the last completed handshake. */
  lastHandshakeMs: number | undefined
  /** Bytes of authentic messages from this peer. */
  rxBytes: number
  txBytes: number
  /** Index of this peer's block in `device.counters`. */
  counters: number
  /** Networks that are this peer's now; what another peer was given later is not among them. */
  allowedIps: Prefix[]
  keepaliveSeconds: number | undefined
  hasPresharedKey: boolean
  paths: PathStatus[]
}

export type PathStatus = {
  id: number
  local: number
  remote: Endpoint
  /** Whether it goes over a forwarder. */
  relayed: boolean
  costClass: number
  state: PathState
  active: boolean
  /** Smoothed round trip and its variation. */
  rttMs: number | undefined
  jitterMs: number
  /** Share of lost probes and packets, 0 to 1. */
  lossRatio: number
  /** Largest inner packet that goes through, bytes. */
  mtu: number
  /** Whether batches leave in one call; false after they were lost where single datagrams get through. */
  offload: boolean
  rxBytes: number
  txBytes: number
  /** Index of this path's block in `device.counters`. */
  counters: number
}

/** What one side of a forwarder session has sent. */
export type SessionSideStatus = {
  slot: number
  /** The proven address, while it is bound. */
  bound: Endpoint | undefined
  /** Datagrams that went on to the other side, and their bytes without the forwarder's header. */
  packets: number
  bytes: number
  /** Datagrams that did not go on: the other side is not bound, or a limit was reached. */
  dropped: number
}

export type SessionStatus = {
  id: string
  /** Milliseconds left; 0 once expired (it is remembered for another minute). */
  leftMs: number
  quotaLeftBytes: number | undefined
  a: SessionSideStatus
  b: SessionSideStatus
}

/** What a forwarder has done since it was opened. */
export type ForwarderStatus = {
  sessions: SessionStatus[]
  totals: {
    /** Data that went on, and data that did not. */
    packets: number
    bytes: number
    dropped: number
    /** Answers to strangers: STUN, cookies, bindings done and refused. */
    stun: number
    cookies: number
    bound: number
    refused: number
    /** Questions over the limit of their network, and datagrams that are none of ours. */
    limited: number
    ignored: number
  }
}
