import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { RopewalkError } from '@ropewalk/shared/errors'
import { breakOff } from './break-off.ts'
import { type InnerTls, reasonOf } from './inner-tls.ts'

/**
 * A stream between a visitor and a worker's service, in either's process. It is joined once, to a socket or to a
 * {@link duplex}. Half-close passes exactly; whatever else ends the connection breaks both sides off.
 */
export class WorkerStream {
  /** The reason why it came to another end than its own. Never rejects. */
  readonly closed: Promise<RopewalkError | undefined>
  readonly #inner: InnerTls
  readonly #head: Uint8Array
  #reason: RopewalkError | undefined

  /** `head` is what was read behind the first message already. */
  constructor(inner: InnerTls, head: Uint8Array) {
    this.#inner = inner
    this.#head = head
    this.closed = inner.secured.closed.then((end) =>
      end.fault === undefined ? undefined : (this.#reason ?? reasonOf(end)),
    )
  }

  /** Bytes of the stream itself that went to the other end, without TLS and segments. */
  get sentBytes(): number {
    return this.#inner.secured.bytes.forth
  }

  get receivedBytes(): number {
    return this.#inner.secured.bytes.back
  }

  /** Breaks it off. */
  destroy(reason?: RopewalkError): void {
    this.#reason ??= reason
    breakOff(this.#inner.raw)
  }

  /** Leads it to a socket, which nobody else reads or writes from here on; `first` was read of it already. */
  join(socket: Socket, first?: Uint8Array): void {
    this.#inner.secured.attach(socket, this.#head, first)
    void this.closed.then((reason) => (reason === undefined ? socket.destroy() : breakOff(socket)))
  }

  /** Leads it to this process. A reason why it is over comes as the error. */
  duplex(): Duplex {
    const duplex = this.#inner.secured.duplex(this.#head, (end) => this.#reason ?? reasonOf(end))
    // whoever reads is told; nobody reading must not be a crash
    return duplex.on('error', () => undefined)
  }
}
