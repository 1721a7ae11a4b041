import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { type StreamMessage, streamDecoder } from '@ropewalk/shared/tunnel'
import type { Secured } from 'node-wireguard'

/** The first message on an inner TLS, and the bytes that came behind it. @throws RopewalkError */
export async function firstMessage(
  secured: Secured,
  signal: AbortSignal,
): Promise<{ message: StreamMessage; head: Uint8Array }> {
  const decoder = streamDecoder()
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(toRopewalkError(signal.reason))
  aborted.promise.catch(() => undefined)
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  try {
    for (;;) {
      const chunk = await Promise.race([aborted.promise, secured.receive()])
      if (chunk === undefined) throw new RopewalkError('stream-reset', 'The other end hung up')
      const message = decoder.first(chunk)
      if (message !== undefined) return { message, head: decoder.rest() }
    }
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
