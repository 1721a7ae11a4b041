import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
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
  on?: boolean
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
  setPrivateKey(privateKey: Uint8Array): void
  setListenPort(port: number): void
  setFwmark(mark: number): void
  sendControl(socket: number, to: Endpoint, bytes: Uint8Array): void
  status(): DeviceStatus
  dialTcp(to: Endpoint, timeoutMs: number): Promise<NativeStream>
  listenTcp(at: Endpoint, wake: () => void): Promise<NativeListener>
  openUdp(at: Endpoint, wake: () => void): Promise<NativeDatagrams>
  ping(address: string, timeoutMs: number): Promise<number>
  reset(stream: number): void
  close(): Promise<void>
}

/** The same of Linux's own WireGuard. */
export type NativeKernelDevice = Pick<
  NativeDevice,
  | 'sockets'
  | 'counters'
  | 'takeEvents'
  | 'updatePeers'
  | 'setPrivateKey'
  | 'setListenPort'
  | 'setFwmark'
  | 'status'
  | 'close'
>

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
  openKernelDevice(options: DeviceOptions, wake: () => void): Promise<NativeKernelDevice>
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

type Loaded = { native: Native; folder: string }

const require = createRequire(import.meta.url)
let loaded: Loaded | undefined

/** The engine, from beside this file or from the package of this platform. @throws {WireguardError} `ENGINE_MISSING` */
export function native(): Native {
  loaded ??= load()
  return loaded.native
}

/** A program that was built with the engine and lies beside it. @throws {WireguardError} `ENGINE_MISSING` */
export function programPath(name: string): string {
  loaded ??= load()
  return join(loaded.folder, name)
}

/** The program that makes a private namespace for the rootless mode. */
export function namespaceHelper(): string {
  return programPath('node-wireguard-namespace')
}

/** What is there must also load; only what is not there at all leaves the turn to the next. */
function load(): Loaded {
  const platform = `node-wireguard-${process.platform}-${process.arch}`
  const places = ['./engine.node', `${platform}-gnu/engine.node`, `${platform}-musl/engine.node`]
  const found = places.map(resolve).filter((path) => path !== undefined)
  const failures: unknown[] = []
  for (const path of found) {
    try {
      return { native: require(path) as Native, folder: dirname(path) }
    } catch (error) {
      failures.push(error)
    }
  }
  const wanted = `no engine for ${process.platform} ${process.arch} is installed`
  const message = found.length === 0 ? wanted : `the engine cannot be loaded: ${failures.map(String).join('; ')}`
  throw new WireguardError('ERR_WIREGUARD_ENGINE_MISSING', message, { cause: failures[0] })
}

function resolve(place: string): string | undefined {
  try {
    return require.resolve(place)
  } catch {
    return undefined
  }
}
