import { EventEmitter } from 'node:events'
import { calling, WireguardError } from './errors.ts'
import type { NativeDatagrams } from './native.ts'
import type { Endpoint } from './options.ts'

type Events = { message: [bytes: Uint8Array, from: Endpoint]; close: [] }

/** A UDP endpoint on the mesh (rootless devices). Emits `message` for each datagram and `close` once. */
export class UdpSocket extends EventEmitter<Events> {
  readonly #native: NativeDatagrams
  readonly #peer: Endpoint | undefined
  #closed = false

  /** With a peer, only its datagrams are taken and `send` needs no destination. */
  constructor(native: NativeDatagrams, peer: Endpoint | undefined) {
    super()
    this.#native = native
    this.#peer = peer
  }

  /** Where it is bound. */
  address(): Endpoint {
    return this.#native.local()
  }

  /**
   * Sends one datagram; a full queue drops it, as a wire would.
   * @throws {WireguardError} `TOO_BIG`, `NO_ADDRESS`, `UNREACHABLE`, `CLOSED`, `INVALID_ARGUMENT`
   */
  send(bytes: Uint8Array, to: Endpoint | undefined = this.#peer): void {
    if (to === undefined) throw new WireguardError('ERR_WIREGUARD_INVALID_ARGUMENT', 'a datagram needs a destination')
    calling(() => this.#native.send(to, bytes))
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#native.close()
    this.emit('close')
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Takes what has arrived; called by the device. @internal */
  drain(): void {
    if (this.#closed) return
    for (const { from, bytes } of this.#native.take()) {
      if (this.#closed) return
      if (this.#peer === undefined || (from.address === this.#peer.address && from.port === this.#peer.port)) {
        this.emit('message', bytes, from)
      }
    }
  }
}
