import type { Duplex } from 'node:stream'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { MAX_ORDER_BYTES } from '@ropewalk/shared/runtime'

/** From the first byte of an order to its last, in ms. */
const ORDER_TIMEOUT_MS = 10_000

/** One order by a stream of its own: our bytes and our end, then its bytes and its end. @throws RopewalkError */
export async function askOnce(stream: Duplex, order: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  stream.end(order)
  return await whole(stream, signal)
}

/** The other end of {@link askOnce}. */
export async function answerOnce(stream: Duplex, answer: (order: Uint8Array) => Promise<Uint8Array>): Promise<void> {
  try {
    const order = await whole(stream, AbortSignal.timeout(ORDER_TIMEOUT_MS))
    stream.end(await answer(order))
  } catch {
    stream.destroy() // it hung up, or sent no order
  }
}

/** All that comes until its end, at most the size of an order. */
async function whole(stream: Duplex, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let size = 0
  const abort = () => stream.destroy(toRopewalkError(signal.reason))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    // the answer goes by the same stream: its end must not close it
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      chunks.push(chunk as Buffer)
      size += chunks.at(-1)?.length ?? 0
      if (size > MAX_ORDER_BYTES) throw new RopewalkError('too-large', 'An order is over its size limit')
    }
    return Buffer.concat(chunks)
  } catch (error) {
    stream.destroy()
    throw signal.aborted ? toRopewalkError(signal.reason) : toRopewalkError(error)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
