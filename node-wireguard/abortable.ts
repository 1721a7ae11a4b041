import { awaiting } from './errors.ts'

/** Waits for the engine, but no longer than the signal allows; what comes too late is thrown away. */
export async function abortable<T>(
  start: () => Promise<T>,
  signal: AbortSignal | undefined,
  discard: (late: T) => void,
): Promise<T> {
  signal?.throwIfAborted()
  const result = awaiting(start)
  if (signal === undefined) return await result
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([result, aborted.promise])
  } catch (error) {
    result.then(discard, () => {})
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
