import { closeSync } from 'node:fs'
import { isIP, type Socket } from 'node:net'
import { abortable } from './abortable.ts'
import { awaiting, calling } from './errors.ts'
import { eventOf } from './event-of.ts'
import { EventStream } from './event-stream.ts'
import type { DeviceEvent } from './events.ts'
import { KernelDevice } from './kernel-device.ts'
import { type Listener, listen } from './listener.ts'
import { type NativeDevice, namespaceHelper, native } from './native.ts'
import type {
  DeviceOptions,
  Endpoint,
  FilterOptions,
  PathOptions,
  PeerOptions,
  Prefix,
  ScheduleMode,
} from './options.ts'
import type { DeviceStatus, SocketInfo } from './status.ts'
import { Streams } from './streams.ts'
import { UdpSocket } from './udp-socket.ts'

const DIAL_TIMEOUT_MS = 10_000
const PING_TIMEOUT_MS = 5_000
const NO_STREAM = -1

/** How long to wait, and what may end the wait earlier. */
export type WaitOptions = { timeoutMs?: number; signal?: AbortSignal }

/**
 * A WireGuard device. Its methods throw {@link WireguardError}: `INVALID_ARGUMENT` for what cannot be, `CLOSED` after
 * `close`, `FAILED` after an `error` event, `UNSUPPORTED` for what a `kernel` device cannot do, and what is said at each. While it is open it keeps the process alive.
 */
export interface Device extends AsyncDisposable {
  /** Local UDP sockets, in the order of `listen`, with the ports that they have now. */
  readonly sockets: readonly SocketInfo[]
  /**
   * Which stack carries the inner packets: the kernel's by a TUN, the same in a private namespace, the engine's own, or, for
   * `kernel`, that Linux's own WireGuard does it all.
   */
  readonly backend: 'tun' | 'namespace' | 'netstack' | 'kernel'
  /** Why `auto` took the netstack; undefined where it did not. */
  readonly fallback: string | undefined
  /** The process that holds the private namespace: `nsenter --preserve-credentials -U -n -t PID` runs a program in it. */
  readonly namespacePid: number | undefined
  /** What happens, in batches, for any number of readers; ends when the device is closed. */
  readonly events: AsyncIterable<DeviceEvent[]>
  /** Counters shared with the engine, without a call; `status` says which block is whose. Do not write. */
  readonly counters: BigUint64Array
  /** Adds or changes the peers of `set`, then cuts those of `removed` (public keys; unknown ones are ignored). `TOO_MANY`. */
  updatePeers(set: PeerOptions[], removed?: Uint8Array[]): void
  /** Replaces a peer's candidates; a path whose id is known keeps its state. `UNKNOWN_PEER`, `TOO_MANY`. */
  updatePaths(publicKey: Uint8Array, paths: PathOptions[]): void
  /** `UNKNOWN_PEER`. */
  setSchedule(publicKey: Uint8Array, schedule: { mode: ScheduleMode }): void
  /** Replaces the packet filter. A new device lets in only ICMP echo, ICMP errors and replies. */
  setFilter(filter: FilterOptions): void
  /** Another private key (32 bytes; zeros: none): sessions end and are made anew. A peer with its public key is removed. */
  setPrivateKey(privateKey: Uint8Array): void
  /**
   * Another port (0: a free one) for all sockets, which must not share an address. The new sockets are bound before the old
   * ones go. `ADDRESS_IN_USE`.
   */
  setListenPort(port: number): void
  /** Another mark of the outer packets (SO_MARK); 0: none. `PERMISSION` without CAP_NET_ADMIN. */
  setFwmark(mark: number): void
  /** Sends a STUN message (at most 1,280 bytes) by one of the sockets; answers come as `control` events. `IO`. */
  sendControl(socketId: number, to: Endpoint, bytes: Uint8Array): void
  status(): DeviceStatus
  /**
   * Opens a TCP connection through the mesh; default timeout 10 s. Rootless devices only (`NOT_ROOTLESS`).
   * Rejects with `REFUSED`, `TIMED_OUT`, `UNREACHABLE`, `NO_ADDRESS`, `BUSY`, or the signal's reason.
   */
  dial(to: Endpoint & { protocol?: 'tcp' } & WaitOptions): Promise<Socket>
  /**
   * Accepts TCP connections from the mesh, at one of our addresses or (absent) at all of them; port 0 takes a free one.
   * The filter must let them in. Rejects with `ADDRESS_IN_USE`, `NO_ADDRESS`, `NOT_ROOTLESS`.
   */
  listen(
    at: { protocol?: 'tcp'; address?: string; port: number },
    onSocket: (socket: Socket) => void,
  ): Promise<Listener>
  /** A UDP endpoint that talks to one peer. `NOT_ROOTLESS`, `NO_ADDRESS`, `BUSY`. */
  dialUdp(to: Endpoint): Promise<UdpSocket>
  /** A UDP endpoint at one of our addresses; `::` and `0.0.0.0` are all of a family. `ADDRESS_IN_USE`, `NOT_ROOTLESS`. */
  listenUdp(at: Endpoint): Promise<UdpSocket>
  /** One ICMP echo: the round trip in milliseconds; default timeout 5 s. `TIMED_OUT`, `UNREACHABLE`, `NOT_ROOTLESS`. */
  ping(address: string, options?: WaitOptions): Promise<number>
  /** Ends all streams, joins all threads, closes sockets and interface; idempotent. The process can exit afterwards. */
  close(): Promise<void>
}

export const Device = {
  /**
   * Binds the sockets, makes the interface, starts the threads; none of it on the JavaScript thread.
   * @throws {WireguardError} `INVALID_ARGUMENT`, `PERMISSION`, `ADDRESS_IN_USE`, `NAMESPACE_FORBIDDEN`, `UNSUPPORTED`, `IO`,
   * `ENGINE_MISSING`
   */
  async open(options: DeviceOptions): Promise<Device> {
    if (isKernels(options)) return await KernelDevice.open(options)
    let device: OpenDevice | undefined
    const wake = () => device?.drain()
    const opened = await awaiting(() => native().openDevice(options, namespaceHelper(), wake))
    const place = options.interface
    const face = 'tun' in place ? place.tun : 'rootless' in place ? place.rootless : place.kernel
    device = new OpenDevice(opened, face.addresses)
    device.drain()
    return device
  },
}

/** What a caller without types gives can be anything; the engine says what is wrong with it. */
function isKernels(options: Partial<DeviceOptions> | undefined): boolean {
  const place: unknown = options?.interface
  return typeof place === 'object' && place !== null && 'kernel' in place && !('tun' in place || 'rootless' in place)
}

class OpenDevice implements Device {
  readonly backend: 'tun' | 'namespace' | 'netstack'
  readonly fallback: string | undefined
  readonly namespacePid: number | undefined
  readonly events = new EventStream<DeviceEvent>((count) => ({ type: 'lost', count }))
  readonly counters: BigUint64Array
  readonly #native: NativeDevice
  readonly #streams: Streams
  readonly #wildcards: readonly string[]
  #sockets: readonly SocketInfo[]
  readonly #doors = new Set<{ close(): unknown }>()
  #closing: Promise<void> | undefined

  constructor(opened: NativeDevice, addresses: readonly Prefix[]) {
    this.#native = opened
    this.#sockets = opened.sockets()
    this.backend = opened.backend()
    this.fallback = opened.fallback() ?? undefined
    this.namespacePid = opened.namespacePid() ?? undefined
    this.counters = opened.counters()
    this.#streams = new Streams(this.backend === 'netstack' ? (stream) => opened.reset(stream) : undefined)
    const has = (mark: string) => addresses.some((address) => address.includes(mark))
    this.#wildcards = [...(has(':') ? ['::'] : []), ...(has('.') ? ['0.0.0.0'] : [])]
  }

  /** Those of a closed device are its last ones. */
  get sockets(): readonly SocketInfo[] {
    if (this.#closing === undefined) this.#sockets = this.#native.sockets()
    return this.#sockets
  }

  updatePeers(set: PeerOptions[], removed: Uint8Array[] = []): void {
    calling(() => this.#native.updatePeers(set, removed))
  }

  updatePaths(publicKey: Uint8Array, paths: PathOptions[]): void {
    calling(() => this.#native.updatePaths(publicKey, paths))
  }

  setSchedule(publicKey: Uint8Array, schedule: { mode: ScheduleMode }): void {
    calling(() => this.#native.setSchedule(publicKey, schedule.mode))
  }

  setFilter(filter: FilterOptions): void {
    calling(() => this.#native.setFilter(filter.allow))
  }

  setPrivateKey(privateKey: Uint8Array): void {
    calling(() => this.#native.setPrivateKey(privateKey))
  }

  setListenPort(port: number): void {
    calling(() => this.#native.setListenPort(port))
  }

  setFwmark(mark: number): void {
    calling(() => this.#native.setFwmark(mark))
  }

  sendControl(socketId: number, to: Endpoint, bytes: Uint8Array): void {
    calling(() => this.#native.sendControl(socketId, to, bytes))
  }

  status(): DeviceStatus {
    return calling(() => this.#native.status())
  }

  async dial(to: Endpoint & { protocol?: 'tcp' } & WaitOptions): Promise<Socket> {
    const { address, port, timeoutMs = DIAL_TIMEOUT_MS, signal } = to
    const dialled = () => this.#native.dialTcp({ address, port }, timeoutMs)
    return this.#streams.adopt(await abortable(dialled, signal, ({ fd }) => closeSync(fd)))
  }

  listen(at: { address?: string; port: number }, onSocket: (socket: Socket) => void): Promise<Listener> {
    const addresses = at.address === undefined ? this.#wildcards : [at.address]
    const places = addresses.map((address) => ({ address, port: at.port }))
    return listen({ native: this.#native, streams: this.#streams, doors: this.#doors }, places, onSocket)
  }

  dialUdp(to: Endpoint): Promise<UdpSocket> {
    return this.#openUdp({ address: isIP(to.address) === 6 ? '::' : '0.0.0.0', port: 0 }, to)
  }

  listenUdp(at: Endpoint): Promise<UdpSocket> {
    return this.#openUdp(at, undefined)
  }

  async ping(address: string, options: WaitOptions = {}): Promise<number> {
    const { timeoutMs = PING_TIMEOUT_MS, signal } = options
    return await abortable(
      () => this.#native.ping(address, timeoutMs),
      signal,
      () => {},
    )
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Takes what the engine has to say. */
  drain(): void {
    const events: DeviceEvent[] = []
    for (const event of this.#native.takeEvents()) {
      if (event.type === 'stream-reset') this.#streams.onReset(event.stream ?? NO_STREAM)
      else events.push(eventOf(event))
    }
    this.events.push(events)
  }

  /** What goes through the device ends first, so that the far ends hear of it. */
  async #close(): Promise<void> {
    this.#streams.close()
    for (const door of this.#doors) door.close()
    await awaiting(() => this.#native.close())
    this.drain()
    this.events.end()
  }

  async #openUdp(at: Endpoint, peer: Endpoint | undefined): Promise<UdpSocket> {
    let socket: UdpSocket | undefined
    const opened = await awaiting(() => this.#native.openUdp(at, () => socket?.drain()))
    socket = new UdpSocket(opened, peer)
    this.#doors.add(socket)
    socket.once('close', () => this.#doors.delete(socket))
    if (this.#closing !== undefined) socket.close()
    setImmediate(() => socket.drain()) // what came before there was anybody to hear it
    return socket
  }
}
