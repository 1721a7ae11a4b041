import { Duplex } from 'node:stream'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { END_SEGMENT, MAX_SEGMENT_BYTES, segmentPrefix, segmentReader } from '@ropewalk/shared/tunnel'
import { breakOff } from './break-off.ts'
import type { InnerTls } from './inner-tls.ts'

/** How much may be on its way in each direction before the writer waits, in bytes. */
const WINDOW_BYTES = 256 * 1024
/** After both ends have said all, how long the connection may take to go down, in milliseconds. */
const LINGER_MS = 30_000

/**
 * A stream of bytes over the inner TLS with an end that cannot be forged. Half-close passes exactly; whatever else ends
 * the connection destroys the stream with `stream-reset`; destroying the stream early resets the connection.
 */
export class SegmentStream extends Duplex {
  readonly #inner: InnerTls
  readonly #reader = segmentReader()
  readonly #linger: { timer?: NodeJS.Timeout } = {}
  /** Bytes of the stream itself, without TLS and segments. */
  sentBytes = 0
  receivedBytes = 0

  /** `head` is what was read behind the first message already. */
  constructor(inner: InnerTls, head: Uint8Array) {
    super({
      allowHalfOpen: true,
      autoDestroy: false,
      readableHighWaterMark: WINDOW_BYTES,
      writableHighWaterMark: WINDOW_BYTES,
    })
    this.#inner = inner
    const { tls } = inner
    // whoever reads is told; nobody reading must not be a crash
    this.on('error', () => undefined)
    tls.on('data', (chunk) => this.#take(chunk))
    tls.on('end', () => {
      if (!this.#reader.ended) this.destroy(new RopewalkError('stream-reset', 'The connection was cut short'))
    })
    tls.on('error', (error) => this.destroy(broken(error)))
    tls.on('close', () => this.#closed())
    this.on('end', () => this.#settle())
    this.on('finish', () => this.#settle())
    if (head.length > 0) this.#take(head)
  }

  override _read(): void {
    this.#inner.tls.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send([chunk], done)
  }

  override _writev(writes: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(
      writes.map(({ chunk }) => chunk),
      done,
    )
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#inner.tls.end(END_SEGMENT, () => done())
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#linger.timer)
    const { raw, tls } = this.#inner
    if (!this.#done()) breakOff(raw)
    tls.destroy()
    done(error)
  }

  #closed(): void {
    if (!this.#done()) this.destroy(new RopewalkError('stream-reset'))
    // what came last may not have been read by our reader yet
    else if (this.readableEnded) this.destroy()
    else this.once('end', () => this.destroy())
  }

  #done(): boolean {
    return this.#reader.ended && this.writableFinished
  }

  /**
   * Both directions are over. The connection closes itself when the other's FIN is read: closing before that would
   * answer its last bytes with a reset, which throws away what the other has not read yet.
   */
  #settle(): void {
    if (!this.readableEnded || !this.writableFinished || this.#linger.timer !== undefined) return
    this.#linger.timer = setTimeout(() => this.destroy(), LINGER_MS).unref()
    this.#inner.tls.resume()
  }

  #take(chunk: Uint8Array): void {
    if (this.destroyed) return
    try {
      let room = true
      this.#reader.read(chunk, (bytes) => {
        this.receivedBytes += bytes.length
        room = this.push(bytes)
      })
      if (this.#reader.ended) {
        if (!this.readableEnded) this.push(null)
      } else if (!room) this.#inner.tls.pause()
    } catch (error) {
      this.destroy(toRopewalkError(error))
    }
  }

  #send(chunks: readonly Buffer[], done: (error?: Error | null) => void): void {
    const { tls } = this.#inner
    let room = true
    tls.cork()
    for (const chunk of chunks) {
      this.sentBytes += chunk.length
      for (let at = 0; at < chunk.length; at += MAX_SEGMENT_BYTES) {
        const part = chunk.subarray(at, at + MAX_SEGMENT_BYTES)
        tls.write(segmentPrefix(part.length))
        room = tls.write(part)
      }
    }
    tls.uncork()
    if (room) done()
    else tls.once('drain', done)
  }
}

function broken(error: unknown): RopewalkError {
  const known = toRopewalkError(error)
  return known.code === 'internal' ? new RopewalkError('stream-reset', known.message, { cause: error }) : known
}
