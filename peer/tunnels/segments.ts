import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { END_SEGMENT, SEGMENT_PREFIX_BYTES, segmentReader } from '@ropewalk/shared/tunnel'
import { breakOff } from './break-off.ts'
import type { InnerTls } from './inner-tls.ts'

/** After both ends have said all, how long the connection may take to go down, in milliseconds. */
const LINGER_MS = 30_000

/** Who gets what the other end sends. */
export interface SegmentHandlers {
  data(bytes: Uint8Array): void
  /** The other end has said all; it may still listen. */
  end(): void
  /** The connection is gone: with an error unless both directions had ended. Called once. */
  closed(error: RopewalkError | undefined): void
}

/**
 * Both directions of a stream over the inner TLS, each with an end that cannot be forged. Whatever else ends the
 * connection is an error.
 */
export interface Segments {
  /**
   * Sends `length` bytes that stand in `framed` behind 4 bytes left free for the prefix. One at a time: `framed` is the
   * caller's again, and the next may be sent, when `done` is called, which often is before this returns.
   */
  send(framed: Buffer, length: number, done: () => void): void
  /** Ends our direction, exactly there. */
  finish(done: () => void): void
  /** Stops reading, so that the other end comes to wait. */
  pause(): void
  resume(): void
  /** Breaks the connection off, unless it has come to its end. */
  destroy(): void
}

/** `head` is what was read behind the first message already; it is given to the handlers in the next turn. */
export function createSegments(inner: InnerTls, head: Uint8Array, handlers: SegmentHandlers): Segments {
  return new TlsSegments(inner, head, handlers)
}

class TlsSegments implements Segments {
  readonly #inner: InnerTls
  readonly #handlers: SegmentHandlers
  readonly #reader = segmentReader()
  #finished = false
  #gone = false
  #linger: NodeJS.Timeout | undefined

  constructor(inner: InnerTls, head: Uint8Array, handlers: SegmentHandlers) {
    this.#inner = inner
    this.#handlers = handlers
    const { tls } = inner
    tls.on('data', (chunk) => this.#take(chunk))
    tls.on('end', () => {
      if (!this.#reader.ended) this.#close(new RopewalkError('stream-reset', 'The connection was cut short'))
    })
    tls.on('error', (error) => this.#close(broken(error)))
    tls.on('close', () => this.#close(this.#isDone() ? undefined : new RopewalkError('stream-reset')))
    if (head.length > 0) process.nextTick(() => this.#take(head))
    if (tls.destroyed) process.nextTick(() => this.#close(new RopewalkError('stream-reset')))
  }

  send(framed: Buffer, length: number, done: () => void): void {
    framed.writeUInt32BE(length)
    // TLS has encrypted the bytes when this returns; that the connection has room is what `done` waits for
    this.#inner.tls.write(framed.subarray(0, SEGMENT_PREFIX_BYTES + length), () => {
      if (!this.#gone) done()
    })
  }

  finish(done: () => void): void {
    this.#inner.tls.end(END_SEGMENT, () => {
      this.#finished = true
      done()
      this.#settle()
    })
  }

  pause(): void {
    if (!this.#reader.ended) this.#inner.tls.pause()
  }

  resume(): void {
    this.#inner.tls.resume()
  }

  destroy(): void {
    this.#close(this.#isDone() ? undefined : new RopewalkError('aborted'))
  }

  #isDone(): boolean {
    return this.#reader.ended && this.#finished
  }

  #take(chunk: Uint8Array): void {
    if (this.#gone) return
    try {
      this.#reader.read(chunk, this.#handlers.data)
      if (!this.#reader.ended) return
      this.#handlers.end()
      this.#settle()
    } catch (error) {
      this.#close(toRopewalkError(error))
    }
  }

  /**
   * Both directions are over. The connection closes itself when the other's FIN is read: closing before that would
   * answer its last bytes with a reset, which throws away what the other has not read yet.
   */
  #settle(): void {
    if (!this.#isDone() || this.#linger !== undefined || this.#gone) return
    this.#linger = setTimeout(() => this.#close(undefined), LINGER_MS).unref()
    this.#inner.tls.resume()
  }

  #close(error: RopewalkError | undefined): void {
    if (this.#gone) return
    this.#gone = true
    clearTimeout(this.#linger)
    const { raw, tls } = this.#inner
    if (error !== undefined) breakOff(raw)
    tls.destroy()
    this.#handlers.closed(error)
  }
}

function broken(error: unknown): RopewalkError {
  const known = toRopewalkError(error)
  return known.code === 'internal' ? new RopewalkError('stream-reset', known.message, { cause: error }) : known
}
