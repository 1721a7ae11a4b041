import { type Codec, decodeWith, encodeWith } from '../codec/index.ts'
import { RopewalkError, toRopewalkError } from '../errors/index.ts'

const PREFIX_BYTES = 4

/** Sizes a decoder allows. */
export interface FrameLimits {
  /** Most bytes of a message before {@link FrameDecoder.trust}. */
  readonly maxBytes: number
  /** Most bytes after it; as before unless given. */
  readonly trustedBytes?: number
}

/** Reads length-prefixed messages out of chunks cut anywhere. Holds at most one message. */
export interface FrameDecoder<T> {
  /**
   * The messages that are complete with this chunk.
   * @throws RopewalkError `protocol-error` on anything malformed or over the limit; the stream is then of no more use
   */
  push(chunk: Uint8Array): T[]
  /**
   * As {@link push}, but stops after the first message and keeps the bytes behind it for {@link rest}:
   * where one message is followed by something else.
   */
  first(chunk: Uint8Array): T | undefined
  /** Bytes that came behind what {@link first} gave. */
  rest(): Uint8Array
  /** The sender has proven itself: larger messages from now on. */
  trust(): void
}

/** A message with its length (4 bytes, big endian) in front. */
export function encodeFrame<T>(codec: Codec<T>, message: T, maxBytes: number): Uint8Array {
  const body = encodeWith(codec, message)
  if (body.length > maxBytes)
    throw new RopewalkError('too-large', `A message of ${body.length} bytes is over ${maxBytes}`)
  const framed = new Uint8Array(PREFIX_BYTES + body.length)
  new DataView(framed.buffer).setUint32(0, body.length)
  framed.set(body, PREFIX_BYTES)
  return framed
}

/** A decoder for one direction of one stream. */
export function frameDecoder<T>(codec: Codec<T>, limits: FrameLimits): FrameDecoder<T> {
  return new Decoder(codec, limits)
}

class Decoder<T> implements FrameDecoder<T> {
  readonly #codec: Codec<T>
  readonly #limits: FrameLimits
  #maxBytes: number
  #held: Uint8Array = new Uint8Array(0)

  constructor(codec: Codec<T>, limits: FrameLimits) {
    this.#codec = codec
    this.#limits = limits
    this.#maxBytes = limits.maxBytes
  }

  trust(): void {
    this.#maxBytes = this.#limits.trustedBytes ?? this.#limits.maxBytes
  }

  rest(): Uint8Array {
    const rest = this.#held
    this.#held = new Uint8Array(0)
    return rest
  }

  first(chunk: Uint8Array): T | undefined {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    return this.#next()
  }

  push(chunk: Uint8Array): T[] {
    const messages: T[] = []
    for (let message = this.first(chunk); message !== undefined; message = this.#next()) messages.push(message)
    return messages
  }

  #next(): T | undefined {
    if (this.#held.length < PREFIX_BYTES) return undefined
    const length = new DataView(this.#held.buffer, this.#held.byteOffset).getUint32(0)
    // the length alone is enough to refuse: nothing over the limit is ever waited for
    if (length > this.#maxBytes)
      throw new RopewalkError('protocol-error', `A message of ${length} bytes is over its limit`)
    if (this.#held.length < PREFIX_BYTES + length) return undefined
    const body = this.#held.subarray(PREFIX_BYTES, PREFIX_BYTES + length)
    this.#held = this.#held.subarray(PREFIX_BYTES + length)
    try {
      return decodeWith(this.#codec, body, this.#maxBytes)
    } catch (error) {
      throw new RopewalkError('protocol-error', toRopewalkError(error).message, { cause: error })
    }
  }
}
