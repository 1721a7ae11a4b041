import { Socket } from 'node:net'
import { awaiting, calling, WireguardError } from './errors.ts'
import { type NativeIdentity, type NativeSpliceEvent, type NativeSplicer, native } from './native.ts'
import type { SpliceFault } from './splice-fault.ts'

const NOTHING = new Uint8Array(0)

/** How a splice ended. Without a fault both directions had come to their end. */
export interface SpliceEnd {
  readonly fault?: SpliceFault
  readonly message?: string
}

/** Bytes until now: from the first connection to the second, or from the local one into TLS, and back. */
export interface SpliceBytes {
  readonly forth: number
  readonly back: number
}

/**
 * Two connections that the engine joins. The sockets stay the caller's, who destroys them when it is `closed`: by a reset
 * after a fault. Destroying one earlier breaks the splice off.
 */
export interface Splice {
  readonly bytes: SpliceBytes
  /** Never rejects. */
  readonly closed: Promise<SpliceEnd>
  /** Breaks it off; `closed` follows. */
  cut(): void
}

/**
 * TLS 1.3 on a connection. First it talks: `send` and `receive`; then it is attached to a local connection, whose bytes
 * travel in segments (length in 4 bytes, big endian; 0 is the end), or parted from.
 */
export interface Secured extends Splice {
  /** The other's certificate (DER), whose key it has proven; nothing when it is closed before. */
  readonly certificate: Promise<Uint8Array | undefined>
  send(bytes: Uint8Array): void
  /** The next bytes that come; nothing when it is closed before. One call at a time. */
  receive(): Promise<Uint8Array | undefined>
  /** Sends bytes and ends our direction; what still comes is thrown away. */
  part(bytes: Uint8Array): void
  /**
   * Joins it to a socket. `head` is what was received of the stream already, `first` what goes before the socket's bytes.
   * When the socket is closed already, the TLS is broken off.
   */
  attach(socket: Socket, head: Uint8Array, first?: Uint8Array): void
  /** Joins it to a new socket. After a fault that is destroyed with an error; destroying it early breaks the splice off. */
  duplex(head: Uint8Array, errorOf: (end: SpliceEnd) => Error): Socket
}

/** Who we are in TLS. */
export interface Identity {
  readonly native: NativeIdentity
}

/** A certificate (DER), its Ed25519 key (PKCS #8, DER) and the one ALPN protocol. @throws {WireguardError} `INVALID_ARGUMENT` */
export function makeIdentity(certificate: Uint8Array, key: Uint8Array, protocol: string): Identity {
  return { native: calling(() => native().makeIdentity(certificate, key, protocol)) }
}

/**
 * Joins connections on threads of its own: raw to raw, and TLS 1.3 to raw. Back-pressure, half-close and resets pass
 * exactly, and JavaScript sees no byte of what runs through.
 */
export class Splicer implements AsyncDisposable {
  readonly #native: NativeSplicer
  readonly #open = new Map<number, OpenSplice>()
  #closing: Promise<void> | undefined

  /** @throws {WireguardError} `IO`, `ENGINE_MISSING` */
  constructor() {
    this.#native = calling(() => native().openSplicer(() => this.#wake()))
  }

  /**
   * Joins two sockets; `toA` and `toB` are written into them before anything else. Nobody else may read or write them. When
   * one of them is closed already, so is the splice, by a fault.
   */
  join(a: Socket, b: Socket, toA: Uint8Array = NOTHING, toB: Uint8Array = NOTHING): Splice {
    const splice = new OpenSplice(this.#native)
    this.#begin(splice, [a, b], () => {
      const [one, two] = [takeOver(a), takeOver(b)]
      splice.before = { forth: one.head.length, back: two.head.length }
      return this.#native.join(one.fd, two.fd, Buffer.concat([toA, two.head]), Buffer.concat([toB, one.head]))
    })
    return splice
  }

  /** Begins TLS on a socket, which nobody else may read or write from here on. When that is closed already, so is the TLS. */
  secure(socket: Socket, side: 'client' | 'server', identity: Identity): Secured {
    const secured = new OpenSecured(this.#native)
    this.#begin(secured, [socket], () => {
      const { fd, head } = takeOver(socket)
      return this.#native.secure(fd, head, side === 'server', identity.native)
    })
    return secured
  }

  /** Breaks all off and joins the threads; idempotent. */
  close(): Promise<void> {
    this.#closing ??= awaiting(() => this.#native.close()).then(() => this.#wake())
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #begin(splice: OpenSplice, sockets: readonly Socket[], begin: () => number): void {
    try {
      splice.stream = calling(begin)
      this.#open.set(splice.stream, splice)
      for (const socket of sockets) splice.follow(socket)
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      splice.told({ type: 'closed', stream: 0, fault: 'reset', message })
    }
  }

  #wake(): void {
    for (const event of this.#native.takeEvents()) {
      const splice = this.#open.get(event.stream)
      if (event.type === 'closed') this.#open.delete(event.stream)
      splice?.told(event)
    }
  }
}

class OpenSplice implements Splice {
  /** Its number in the engine. */
  stream = 0
  /** Bytes that Node had read before. */
  before: SpliceBytes = { forth: 0, back: 0 }
  protected readonly native: NativeSplicer
  readonly #end = Promise.withResolvers<SpliceEnd>()
  #last: SpliceBytes | undefined

  constructor(opened: NativeSplicer) {
    this.native = opened
  }

  get closed(): Promise<SpliceEnd> {
    return this.#end.promise
  }

  get isOpen(): boolean {
    return this.#last === undefined
  }

  get bytes(): SpliceBytes {
    if (this.#last !== undefined) return this.#last
    const [forth = 0, back = 0] = calling(() => this.native.counts(this.stream)) ?? []
    return this.#sum(forth, back)
  }

  cut(): void {
    if (this.isOpen) calling(() => this.native.cut(this.stream))
  }

  /** A socket that is destroyed takes the splice with it: the engine holds a descriptor of its own. */
  follow(socket: Socket): void {
    if (socket.destroyed) this.cut()
    else socket.once('close', () => this.cut())
  }

  told({ type, forth = 0, back = 0, fault, message }: NativeSpliceEvent): void {
    if (type !== 'closed') return
    this.#last = this.#sum(forth, back)
    this.#end.resolve(fault === undefined ? {} : { fault, message: message ?? fault })
  }

  #sum(forth: number, back: number): SpliceBytes {
    return { forth: this.before.forth + forth, back: this.before.back + back }
  }
}

class OpenSecured extends OpenSplice implements Secured {
  readonly #secured = Promise.withResolvers<Uint8Array | undefined>()
  #receiving: ((bytes: Uint8Array | undefined) => void) | undefined

  get certificate(): Promise<Uint8Array | undefined> {
    return this.#secured.promise
  }

  send(bytes: Uint8Array): void {
    calling(() => this.native.send(this.stream, bytes))
  }

  async receive(): Promise<Uint8Array | undefined> {
    if (!this.isOpen) return undefined
    const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>()
    this.#receiving = resolve
    calling(() => this.native.receive(this.stream))
    return await promise
  }

  part(bytes: Uint8Array): void {
    calling(() => this.native.part(this.stream, bytes))
  }

  attach(socket: Socket, head: Uint8Array, first: Uint8Array = NOTHING): void {
    try {
      const taken = takeOver(socket)
      calling(() => this.native.attach(this.stream, taken.fd, head, Buffer.concat([first, taken.head])))
      this.follow(socket)
    } catch {
      this.cut()
    }
  }

  duplex(head: Uint8Array, errorOf: (end: SpliceEnd) => Error): Socket {
    const fd = calling(() => this.native.attachPair(this.stream, head))
    const pair = new PairSocket(fd, () => calling(() => this.native.cut(this.stream)))
    void this.closed.then((end) => end.fault !== undefined && pair.destroy(errorOf(end)))
    return pair
  }

  override told(event: NativeSpliceEvent): void {
    super.told(event)
    if (event.type === 'secured') this.#secured.resolve(event.bytes)
    if (event.type === 'secured') return
    this.#receiving?.(event.bytes)
    this.#receiving = undefined
    if (event.type === 'closed') this.#secured.resolve(undefined)
  }
}

/** Our end of a pair. A pair knows no reset: the engine is told of one before the descriptor is closed. */
class PairSocket extends Socket {
  readonly #cut: () => void

  constructor(fd: number, cut: () => void) {
    super({ fd, readable: true, writable: true, allowHalfOpen: true })
    this.#cut = cut
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // after a fault the engine holds its end until now, so that its closing is not taken for the stream's end
    if (error !== null || !this.readableEnded || !this.writableFinished) this.#cut()
    super._destroy(error, done)
  }
}

interface Handle {
  readonly fd: number
  reading?: boolean
  readStop(): void
}

/**
 * Node reads the socket no more; what it had read already is the head. Node offers no public way to a socket's
 * descriptor: its handle has been the way since its beginnings.
 */
function takeOver(socket: Socket): { readonly fd: number; readonly head: Buffer } {
  const handle = (socket as unknown as { readonly _handle: Handle | null })._handle
  if (socket.destroyed || socket.connecting || handle === null || handle.fd < 0) {
    throw new WireguardError('ERR_WIREGUARD_CLOSED', 'the connection is not open')
  }
  if (socket.writableLength > 0) {
    throw new WireguardError('ERR_WIREGUARD_INVALID_ARGUMENT', 'the connection still has something to write')
  }
  socket.pause()
  const chunks: Buffer[] = []
  for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) chunks.push(chunk)
  handle.readStop()
  handle.reading = false
  return { fd: handle.fd, head: Buffer.concat(chunks) }
}
