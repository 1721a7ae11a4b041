import type { TLSSocket } from 'node:tls'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { type StreamMessage, streamDecoder } from '@ropewalk/shared/tunnel'

/** The first message on an inner TLS, and the bytes that came behind it. @throws RopewalkError */
export function firstMessage(
  tls: TLSSocket,
  signal: AbortSignal,
): Promise<{ message: StreamMessage; head: Uint8Array }> {
  const decoder = streamDecoder()
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      signal.removeEventListener('abort', aborted)
      tls.off('data', read)
      tls.off('error', fail)
      tls.off('close', closed)
      tls.off('end', closed)
      tls.pause()
    }
    const fail = (error: unknown): void => {
      settle()
      reject(toRopewalkError(error))
    }
    const aborted = (): void => fail(signal.reason)
    const closed = (): void => fail(new RopewalkError('stream-reset', 'The other end hung up'))
    const read = (chunk: Uint8Array): void => {
      try {
        const message = decoder.first(chunk)
        if (message === undefined) return
        settle()
        resolve({ message, head: decoder.rest() })
      } catch (error) {
        fail(error)
      }
    }
    if (signal.aborted) {
      aborted()
      return
    }
    signal.addEventListener('abort', aborted, { once: true })
    tls.once('error', fail)
    tls.once('close', closed)
    tls.once('end', closed)
    tls.on('data', read)
  })
}
