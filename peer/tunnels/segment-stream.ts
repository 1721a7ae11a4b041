import { Duplex } from 'node:stream'
import type { RopewalkError } from '@ropewalk/shared/errors'
import { SEGMENT_PREFIX_BYTES } from '@ropewalk/shared/tunnel'
import type { InnerTls } from './inner-tls.ts'
import { createSegments, type Segments } from './segments.ts'

/** How much may be on its way in each direction before the writer waits, in bytes. */
const WINDOW_BYTES = 256 * 1024
/** Longest segment sent, its prefix counted: eight full TLS records. */
const FRAME_BYTES = 128 * 1024

/**
 * A stream of bytes to a worker's service. Half-close passes exactly; whatever else ends the connection destroys the
 * stream with `stream-reset`; destroying the stream early resets the connection.
 */
export class SegmentStream extends Duplex {
  /** Bytes of the stream itself, without TLS and segments. */
  sentBytes = 0
  receivedBytes = 0
  readonly #segments: Segments
  /** What is sent stands here behind its prefix; made with the first write. */
  #frame: Buffer | undefined

  /** `head` is what was read behind the first message already. */
  constructor(inner: InnerTls, head: Uint8Array) {
    super({
      allowHalfOpen: true,
      autoDestroy: false,
      readableHighWaterMark: WINDOW_BYTES,
      writableHighWaterMark: WINDOW_BYTES,
    })
    // whoever reads is told; nobody reading must not be a crash
    this.on('error', () => undefined)
    this.#segments = createSegments(inner, head, {
      data: (bytes) => {
        this.receivedBytes += bytes.length
        if (!this.push(bytes)) this.#segments.pause()
      },
      end: () => void this.push(null),
      closed: (error) => this.#closed(error),
    })
  }

  override _read(): void {
    this.#segments.resume()
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
    this.#segments.finish(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#segments.destroy()
    done(error)
  }

  #closed(error: RopewalkError | undefined): void {
    if (error !== undefined) this.destroy(error)
    // what came last may not have been read by our reader yet
    else if (this.readableEnded) this.destroy()
    else this.once('end', () => this.destroy())
  }

  /** Fills the frame from the chunks, sends it, and goes on when the connection has taken it. */
  #send(chunks: readonly Buffer[], done: (error?: Error | null) => void): void {
    this.#frame ??= Buffer.allocUnsafeSlow(FRAME_BYTES)
    const frame = this.#frame
    let next = 0
    let at = 0
    const step = (): void => {
      let filled = SEGMENT_PREFIX_BYTES
      for (let chunk = chunks[next]; chunk !== undefined && filled < FRAME_BYTES; chunk = chunks[next]) {
        const copied = chunk.copy(frame, filled, at)
        filled += copied
        at += copied
        if (at < chunk.length) break
        next++
        at = 0
      }
      const length = filled - SEGMENT_PREFIX_BYTES
      this.sentBytes += length
      // an empty segment would be the end
      if (length === 0) done()
      else this.#segments.send(frame, length, step)
    }
    step()
  }
}
