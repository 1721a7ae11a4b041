import { createRequire } from 'node:module'
import { join } from 'node:path'
import { WireguardError } from './errors.ts'
import type { PathState } from './events.ts'
import type {
  DeviceOptions,
  Endpoint,
  FilterRule,
  PathOptions,
  PeerOptions,
  ScheduleMode,
  SessionOptions,
} from './options.ts'
import type { SpliceFault } from './splice-fault.ts'
import type { DeviceStatus, ForwarderStatus, SocketInfo } from './status.ts'

/** A TCP connection as a file descriptor, ours to close. */
export type NativeStream = { id: number; fd: number; local: Endpoint; remote: Endpoint }

export type NativeDatagram = { from: Endpoint; bytes: Uint8Array }

/** An event as it comes from the engine: `type` says which of the fields are there. */
export type NativeEvent = {
  type: string
  peer?: Uint8Array
  path?: number
  previous?: number
  socket?: number
  stream?: number
  state?: PathState
  rttMs?: number
  remote?: Endpoint
  bytes?: Uint8Array
  message?: string
  count?: number
}

/** Accepts until closed; `take` gives what was accepted since the last call. */
export type NativeListener = { local(): Endpoint; take(): NativeStream[]; close(): void }

export type NativeDatagrams = {
  local(): Endpoint
  take(): NativeDatagram[]
  send(to: Endpoint, bytes: Uint8Array): void
  close(): void
}

export type NativeDevice = {
  sockets(): SocketInfo[]
  backend(): 'tun' | 'namespace' | 'netstack'
  fallback(): string | null
  namespacePid(): number | null
  counters(): BigUint64Array
  takeEvents(): NativeEvent[]
  updatePeers(set: PeerOptions[], removed: Uint8Array[]): void
  updatePaths(peer: Uint8Array, paths: PathOptions[]): void
  setSchedule(peer: Uint8Array, mode: ScheduleMode): void
  setFilter(allow: FilterRule[]): void
  sendControl(socket: number, to: Endpoint, bytes: Uint8Array): void
  status(): DeviceStatus
  dialTcp(to: Endpoint, timeoutMs: number): Promise<NativeStream>
  listenTcp(at: Endpoint, wake: () => void): Promise<NativeListener>
  openUdp(at: Endpoint, wake: () => void): Promise<NativeDatagrams>
  ping(address: string, timeoutMs: number): Promise<number>
  reset(stream: number): void
  close(): Promise<void>
}

export type NativeForwarder = {
  addresses(): Endpoint[]
  setSessions(add: SessionOptions[], remove: string[]): void
  status(): ForwarderStatus
  close(): Promise<void>
}

/** A certificate and its key, held by the engine. */
export type NativeIdentity = object

/** What becomes of a spliced stream: `type` says which of the fields are there. */
export type NativeSpliceEvent = {
  type: 'secured' | 'received' | 'closed'
  stream: number
  bytes?: Uint8Array
  forth?: number
  back?: number
  fault?: SpliceFault
  message?: string
}

export type NativeSplicer = {
  join(a: number, b: number, toA: Uint8Array, toB: Uint8Array): number
  secure(fd: number, head: Uint8Array, isServer: boolean, identity: NativeIdentity): number
  send(stream: number, bytes: Uint8Array): void
  receive(stream: number): void
  part(stream: number, bytes: Uint8Array): void
  attach(stream: number, fd: number, head: Uint8Array, first: Uint8Array): void
  attachPair(stream: number, head: Uint8Array): number
  cut(stream: number): void
  counts(stream: number): number[] | null
  takeEvents(): NativeSpliceEvent[]
  close(): Promise<void>
}

/** Everything that the engine exports. */
export type Native = {
  openDevice(options: DeviceOptions, helper: string, wake: () => void): Promise<NativeDevice>
  openForwarder(
    options: { listen: Endpoint[]; stun: boolean; strangersPerSecond: number },
    failed: (message: string) => void,
  ): Promise<NativeForwarder>
  openSplicer(wake: () => void): NativeSplicer
  makeIdentity(certificate: Uint8Array, key: Uint8Array, protocol: string): NativeIdentity
  publicKeyOf(privateKey: Uint8Array): Uint8Array
  generatePrivateKey(): Uint8Array
  listenOnDevice(device: string, at: Endpoint): number
}

/** The program that makes a private namespace for the rootless mode. */
export const NAMESPACE_HELPER = join(import.meta.dirname, 'node-wireguard-namespace')

/** Loads the engine that `build.mjs` laid beside this file; again and again the same. */
export function native(): Native {
  try {
    return createRequire(import.meta.url)('./engine.node') as Native
  } catch (error) {
    throw new WireguardError('ERR_WIREGUARD_ENGINE_MISSING', 'the engine cannot be loaded', { cause: error })
  }
}
