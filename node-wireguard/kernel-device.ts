import { awaiting, calling, WireguardError } from './errors.ts'
import { eventOf } from './event-of.ts'
import { EventStream } from './event-stream.ts'
import type { DeviceEvent } from './events.ts'
import { type NativeKernelDevice, native } from './native.ts'
import type { DeviceOptions, PeerOptions } from './options.ts'
import type { DeviceStatus, SocketInfo } from './status.ts'

/** Linux's own WireGuard behind the face of a device; what the kernel cannot do is refused. */
export class KernelDevice {
  readonly backend = 'kernel'
  readonly fallback = undefined
  readonly namespacePid = undefined
  readonly events = new EventStream<DeviceEvent>((count) => ({ type: 'lost', count }))
  readonly counters: BigUint64Array
  readonly #native: NativeKernelDevice
  #sockets: readonly SocketInfo[]
  #closing: Promise<void> | undefined

  static async open(options: DeviceOptions): Promise<KernelDevice> {
    let device: KernelDevice | undefined
    const wake = () => device?.drain()
    const opened = await awaiting(() => native().openKernelDevice(options, wake))
    device = new KernelDevice(opened)
    device.drain()
    return device
  }

  private constructor(opened: NativeKernelDevice) {
    this.#native = opened
    this.#sockets = opened.sockets()
    this.counters = opened.counters()
  }

  get sockets(): readonly SocketInfo[] {
    if (this.#closing === undefined) this.#sockets = calling(() => this.#native.sockets())
    return this.#sockets
  }

  updatePeers(set: PeerOptions[], removed: Uint8Array[] = []): void {
    calling(() => this.#native.updatePeers(set, removed))
  }

  updatePaths(): never {
    throw refused('paths: each peer has one, from where it was heard last or its `endpoint`')
  }

  setSchedule(): never {
    throw refused('schedules: each peer has one path')
  }

  setFilter(): never {
    throw refused("a filter: use the machine's own firewall on the interface, or open the device with a `tun`")
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

  sendControl(): never {
    throw refused('other messages by its socket')
  }

  status(): DeviceStatus {
    return calling(() => this.#native.status())
  }

  async dial(): Promise<never> {
    throw notRootless()
  }

  async listen(): Promise<never> {
    throw notRootless()
  }

  async dialUdp(): Promise<never> {
    throw notRootless()
  }

  async listenUdp(): Promise<never> {
    throw notRootless()
  }

  async ping(): Promise<never> {
    throw notRootless()
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
    this.events.push(this.#native.takeEvents().map(eventOf))
  }

  async #close(): Promise<void> {
    await awaiting(() => this.#native.close())
    this.drain()
    this.events.end()
  }
}

function refused(what: string): WireguardError {
  return new WireguardError('ERR_WIREGUARD_UNSUPPORTED', `Linux's WireGuard does not know ${what}`)
}

function notRootless(): WireguardError {
  const message = 'this device has a kernel interface, and no network stack of its own'
  return new WireguardError('ERR_WIREGUARD_NOT_ROOTLESS', message)
}
