import { awaiting, calling, WireguardError } from './errors.ts'
import { type NativeForwarder, native } from './native.ts'
import type { Endpoint, ForwarderOptions, SessionOptions } from './options.ts'
import type { ForwarderStatus } from './status.ts'

const STRANGERS_PER_SECOND = 50

/** A blind forwarder of packets between pairs of members, and a STUN server on the same sockets. Runs on a thread of its own. */
export interface Forwarder extends AsyncDisposable {
  /** Where it listens, in the order of the options, with the ports chosen. */
  readonly addresses: readonly Endpoint[]
  /** The first of them. */
  readonly address: Endpoint
  /** Fulfilled when it was closed, rejected when its thread failed. */
  readonly closed: Promise<void>
  /**
   * Removes sessions and adds others, all or nothing. When it returns, nothing of a removed session passes any more.
   * @throws {WireguardError} `SLOT_TAKEN`, `INVALID_ARGUMENT` (an end that is not within the hour), `TOO_MANY`, `CLOSED`, `FAILED`
   */
  setSessions(add: SessionOptions[], removeIds?: string[]): void
  /** @throws {WireguardError} `CLOSED`, `FAILED` */
  status(): ForwarderStatus
  /** Joins the thread and closes the sockets; idempotent. */
  close(): Promise<void>
}

export const Forwarder = {
  /** @throws {WireguardError} `INVALID_ARGUMENT`, `ADDRESS_IN_USE`, `PERMISSION`, `IO`, `ENGINE_MISSING` */
  async open(options: ForwarderOptions): Promise<Forwarder> {
    const failure = Promise.withResolvers<void>()
    const failed = (message: string) => failure.reject(new WireguardError('ERR_WIREGUARD_FAILED', message))
    failure.promise.catch(() => {}) // whoever cares waits for `closed`
    const opened = await awaiting(() => {
      const { listen, stun = true, strangersPerSecond = STRANGERS_PER_SECOND } = options
      return native().openForwarder({ listen, stun, strangersPerSecond }, failed)
    })
    return new OpenForwarder(opened, failure)
  },
}

class OpenForwarder implements Forwarder {
  readonly addresses: readonly Endpoint[]
  readonly address: Endpoint
  readonly closed: Promise<void>
  readonly #native: NativeForwarder
  readonly #end: PromiseWithResolvers<void>
  #closing: Promise<void> | undefined

  constructor(opened: NativeForwarder, end: PromiseWithResolvers<void>) {
    this.#native = opened
    this.#end = end
    this.closed = end.promise
    this.addresses = opened.addresses()
    const [first] = this.addresses
    if (first === undefined) throw new WireguardError('ERR_WIREGUARD_FAILED', 'a forwarder without an address')
    this.address = first
  }

  setSessions(add: SessionOptions[], removeIds: string[] = []): void {
    calling(() => this.#native.setSessions(add, removeIds))
  }

  status(): ForwarderStatus {
    return calling(() => this.#native.status())
  }

  close(): Promise<void> {
    this.#closing ??= awaiting(() => this.#native.close()).then(() => this.#end.resolve())
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
