import type { Stream } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { bytes, decodeWith, encodeWith, field, struct, text, union } from '@ropewalk/shared/codec'
import { errorFromWire, RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'

/** Most bytes of a request's answer unless said. */
export const DEFAULT_MAX_BYTES = 64 * 1_024

const OVERHEAD_BYTES = 32
const LARGEST = 16 * 1_024 * 1_024

const answer = union({
  done: [0, struct({ content: field(1, bytes(0, LARGEST)) })],
  failed: [1, struct({ code: field(1, text(40)), message: field(2, text(2_000)) })],
})

/** Length-prefixed messages over a stream, each with a size limit. */
export function framed(stream: Stream, maxBytes: number): ReturnType<typeof lpStream<Stream>> {
  return lpStream(stream, { maxDataLength: maxBytes, maxBufferSize: maxBytes + 64 * 1_024 })
}

/** Asks over a fresh stream and reads the answer. @throws RopewalkError with the other end's code, `too-large`, `timeout`, … */
export async function ask(
  stream: Stream,
  request: Uint8Array,
  options: { readonly signal: AbortSignal; readonly maxBytes: number },
): Promise<Uint8Array> {
  const { signal, maxBytes } = options
  try {
    const messages = framed(stream, maxBytes + OVERHEAD_BYTES)
    await messages.write(request, { signal })
    const raw = (await messages.read({ signal })).subarray()
    const read = decodeWith(answer, raw, maxBytes + OVERHEAD_BYTES)
    stream.close({ signal: AbortSignal.timeout(1_000) }).catch(() => undefined)
    if (read.kind === 'failed') throw errorFromWire(read.code, read.message)
    if (read.content.length > maxBytes) throw new RopewalkError('too-large', 'The answer is larger than was asked for')
    return read.content
  } catch (error) {
    const known = networkError(error)
    if (stream.status === 'open') stream.abort(known)
    throw known
  }
}

/** Reads one request from a stream and answers it; a handler's RopewalkError travels to the asker. */
export async function answerOne(
  stream: Stream,
  options: { readonly signal: AbortSignal; readonly maxBytes: number },
  handle: (request: Uint8Array) => Promise<Uint8Array> | Uint8Array,
): Promise<void> {
  const messages = framed(stream, options.maxBytes)
  const { signal } = options
  const request = (await messages.read({ signal })).subarray()
  await messages.write(await settle(request, handle), { signal })
  await stream.close({ signal })
}

async function settle(
  request: Uint8Array,
  handle: (request: Uint8Array) => Promise<Uint8Array> | Uint8Array,
): Promise<Uint8Array> {
  try {
    return encodeWith(answer, { kind: 'done', content: await handle(request) })
  } catch (error) {
    if (!(error instanceof RopewalkError)) throw error // a fault of ours is no answer; the stream is reset
    return encodeWith(answer, { kind: 'failed', code: error.code, message: error.message.slice(0, 500) })
  }
}

/** What went wrong below us, in our words. */
export function networkError(error: unknown): RopewalkError {
  if (error instanceof RopewalkError) return error
  const name = error instanceof Error ? error.name : ''
  if (name === 'InvalidDataLengthError' || name === 'InvalidDataLengthLengthError') {
    return new RopewalkError('too-large', 'The other end sent more than it may', { cause: error })
  }
  if (name === 'UnsupportedProtocolError') {
    return new RopewalkError('unsupported', 'The other end does not know that request', { cause: error })
  }
  const known = toRopewalkError(error)
  return known.code === 'internal' ? new RopewalkError('unreachable', known.message, { cause: error }) : known
}
