import { setTimeout as sleep } from 'node:timers/promises'
import { type RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { Logger } from '@ropewalk/shared/logger'
import { hasEnded, type LogOptions } from './face.ts'
import { mayPass, typed } from './head-errors.ts'
import type { RayJob } from './ray-job.ts'

/** How often a running job is asked whether it has ended. */
const POLL_MS = 1_000
/** How often the head looks for new lines of a log, in seconds. */
const INTERVAL_S = 0.25
/** For the whole of a finished log; Ray's own limit is 30 s. */
const WHOLE_LOG_S = 86_400
/** Ray gives a silent node up after 62.8 s, and the mesh mends itself in less; what lasts longer is told. */
const GIVE_UP_MS = 180_000
const RETRY_FIRST_MS = 250
const RETRY_MAX_MS = 5_000
/** Trouble that comes after so long is new: an attempt fails within 30 s. */
const FORGET_MS = 60_000

export interface LogSource {
  job(signal: AbortSignal): Promise<RayJob>
  stream(path: string, signal: AbortSignal): AsyncIterable<Uint8Array>
  readonly logger: Logger
}

export interface LogWanted extends LogOptions {
  readonly id: string
}

/**
 * A job's log as it grows. Ray serves a log from its first byte only, so after a lost connection what was read already
 * comes again and is left out here; and it does not end a stream when the job ends, so then the rest is read as a file,
 * whose end is certain.
 */
export async function* readLog(wanted: LogWanted, source: LogSource): AsyncIterable<Uint8Array> {
  try {
    yield* patiently(wanted, source)
  } catch (error) {
    throw typed(error, wanted.signal)
  }
}

async function* patiently(wanted: LogWanted, source: LogSource): AsyncIterable<Uint8Array> {
  const { id, follow, offset = 0, signal } = wanted
  const trouble = createTrouble(source.logger, signal)
  let at = offset
  for (;;) {
    try {
      const { view, node } = await source.job(signal)
      const over = hasEnded(view)
      if (node === undefined && (over || !follow)) return
      if (node === undefined) {
        await sleep(POLL_MS, undefined, { signal })
        continue
      }
      const file = over || !follow
      const watch = file ? undefined : watchJob(source, signal)
      try {
        for await (const chunk of behind(at, source.stream(pathOf(id, node, file), watch?.signal ?? signal))) {
          at += chunk.length
          trouble.passed()
          yield chunk
        }
        if (file) return
      } catch (error) {
        if (watch?.signal.aborted !== true || signal.aborted) throw error
      } finally {
        watch?.[Symbol.dispose]()
      }
      if (watch?.signal.aborted !== true) await trouble.next(undefined)
    } catch (error) {
      signal.throwIfAborted()
      const known = toRopewalkError(error)
      if (!mayPass(known)) throw known
      await trouble.next(known)
    }
  }
}

function pathOf(id: string, node: string, file: boolean): string {
  const how = file ? { timeout: String(WHOLE_LOG_S) } : { interval: String(INTERVAL_S) }
  const query = new URLSearchParams({ node_id: node, filename: `job-driver-${id}.log`, lines: '-1', ...how })
  return `/api/v0/logs/${file ? 'file' : 'stream'}?${query}`
}

/** What of a stream lies behind its first `skip` bytes. */
async function* behind(skip: number, chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let left = skip
  for await (const chunk of chunks) {
    const rest = chunk.subarray(Math.min(left, chunk.length))
    left -= chunk.length - rest.length
    if (rest.length > 0) yield rest
  }
}

/**
 * Its signal aborts when a stream of the log is of no use any more: the job has ended, or the head was out of reach and
 * is back, when the old connection may be dead without a word.
 */
function watchJob(source: LogSource, signal: AbortSignal): Disposable & { readonly signal: AbortSignal } {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const look = async (): Promise<void> => {
    let lost = false
    while (!either.aborted) {
      await sleep(POLL_MS, undefined, { signal: either })
      try {
        if (hasEnded((await source.job(either)).view) || lost) return
      } catch (error) {
        if (!mayPass(toRopewalkError(error))) return
        lost = true
      }
    }
  }
  void look()
    .catch(() => {})
    .finally(() => stop.abort())
  return { signal: either, [Symbol.dispose]: () => stop.abort() }
}

/** Waits between attempts, and how long in all without a byte. */
function createTrouble(logger: Logger, signal: AbortSignal) {
  let since: number | undefined
  let lastMs = 0
  let waitMs = RETRY_FIRST_MS
  const passed = (): void => {
    since = undefined
    waitMs = RETRY_FIRST_MS
  }
  return {
    passed,
    /** @throws the error when it has lasted too long */
    async next(error: RopewalkError | undefined): Promise<void> {
      if (performance.now() - lastMs > FORGET_MS) passed()
      since ??= performance.now()
      if (error !== undefined && performance.now() - since > GIVE_UP_MS) throw error
      if (waitMs === RETRY_FIRST_MS && error !== undefined)
        logger.warn('the log is out of reach; going on where it was as soon as it can', { reason: error.message })
      await sleep(waitMs, undefined, { signal })
      waitMs = Math.min(RETRY_MAX_MS, waitMs * 2)
      lastMs = performance.now()
    },
  }
}
