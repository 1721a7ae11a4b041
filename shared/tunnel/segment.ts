import { RopewalkError } from '../errors/index.ts'

/**
 * Inside the inner TLS the stream's bytes travel in segments: length (4 bytes, big endian), bytes; length 0 is the end.
 * Node cannot tell TLS's close_notify from a bare FIN, which anybody on the way may send: without an end of its own
 * inside the encryption, a hostile relay could cut a file short and have it taken for whole.
 */
export const SEGMENT_PREFIX_BYTES = 4
/** Longest segment that is accepted; receivers hold none of it back. */
export const MAX_SEGMENT_BYTES = 16 * 1024 * 1024
/** The segment that ends a direction. */
export const END_SEGMENT: Uint8Array = new Uint8Array(SEGMENT_PREFIX_BYTES)

/** The prefix of a segment of this many bytes (at least 1). */
export function segmentPrefix(length: number): Uint8Array {
  const prefix = Buffer.allocUnsafe(SEGMENT_PREFIX_BYTES)
  prefix.writeUInt32BE(length)
  return prefix
}

/** Takes the prefixes out of a stream of segments without copying the bytes between them. */
export interface SegmentReader {
  /** The end was read: nothing may follow. */
  readonly ended: boolean
  /**
   * Calls `each` with every run of the stream's bytes in this chunk.
   * @throws RopewalkError `protocol-error` for an impossible length or bytes after the end
   */
  read(chunk: Uint8Array, each: (bytes: Uint8Array) => void): void
}

/** A reader for one direction of one stream. */
export function segmentReader(): SegmentReader {
  let left = 0
  let prefix = 0
  let prefixBytes = 0
  let ended = false
  return {
    get ended() {
      return ended
    },
    read(chunk, each) {
      let at = 0
      while (at < chunk.length) {
        if (ended) throw new RopewalkError('protocol-error', 'Bytes came after the end of the stream')
        if (left > 0) {
          const run = Math.min(left, chunk.length - at)
          each(chunk.subarray(at, at + run))
          at += run
          left -= run
          continue
        }
        // multiplied, not shifted: the top bit must not turn the length negative
        prefix = prefix * 256 + (chunk[at++] ?? 0)
        if (++prefixBytes < SEGMENT_PREFIX_BYTES) continue
        if (prefix > MAX_SEGMENT_BYTES) throw new RopewalkError('protocol-error', 'A segment is over its limit')
        left = prefix
        ended = prefix === 0
        prefix = prefixBytes = 0
      }
    },
  }
}
