import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Job } from '@ropewalk/shared/api'
import { type ErrorCode, isRopewalkError, RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { LocalClient } from '../client/index.ts'
import { hasEnded } from '../runtime/jobs/index.ts'

const POLL_MS = 300
/** Ray gives a job 3 s between SIGTERM and SIGKILL. */
const STOP_MS = 30_000
/** Of errors that may pass: not reachable, or no answer in time. */
const EXIT_UNREACHABLE = 4
/** A log that is not followed is asked for in pieces, in bytes. */
const PIECE_BYTES = 64 << 20

/** What the peer says of a job whose head is gone: not known to the next one, or no head there yet. */
const GONE: readonly ErrorCode[] = ['not-found', 'conflict']

/** A job, and the cluster where one was named. */
export interface JobPlace {
  readonly id: string
  readonly cluster: string | undefined
}

export interface LogPrinted extends JobPlace {
  readonly follow: boolean
  readonly offset: number
  /** Bytes as they are, or one JSON object for each piece. */
  readonly form: 'bytes' | 'json'
  readonly to: Writable
}

/** Prints a job's log as it comes. */
export async function printLog(local: LocalClient, printed: LogPrinted, signal: AbortSignal): Promise<void> {
  const { id, form, to } = printed
  const decoder = new TextDecoder()
  let at = printed.offset
  for await (const chunk of logOf(local, printed, signal)) {
    const log = form === 'json' ? decoder.decode(chunk, { stream: true }) : ''
    const piece = form === 'json' ? `${JSON.stringify({ version: 1, id, offset: at, log })}\n` : chunk
    if (!to.write(piece)) await once(to, 'drain', { signal })
    at += chunk.length
  }
}

/** A followed log that the peer cuts says no reason: with its head a job is gone, and then nobody knows it any more. */
async function whyCut(local: LocalClient, place: JobPlace, error: unknown, signal: AbortSignal): Promise<unknown> {
  if (!isRopewalkError(error, 'stream-reset')) return error
  const known = await jobAt(local, place, signal).then(
    () => true,
    (reason: unknown) => !GONE.some((code) => isRopewalkError(reason, code)),
  )
  if (known) return error
  return new RopewalkError('job-lost', `${place.id} is gone: its cluster lost its head, or was given back`, {
    hint: `ropewalk cluster ${place.cluster === undefined ? 'list' : `show ${place.cluster}`}`,
    cause: error,
  })
}

async function* logOf(local: LocalClient, wanted: LogPrinted, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const { id, cluster, follow } = wanted
  if (follow) {
    try {
      return yield* local.readLog({ job: id, cluster, offset: wanted.offset, follow, signal })
    } catch (error) {
      throw await whyCut(local, wanted, error, signal)
    }
  }
  for (let offset = wanted.offset, got = PIECE_BYTES; got === PIECE_BYTES; offset += got) {
    got = 0
    for await (const chunk of local.readLog({ job: id, cluster, offset, follow, limit: PIECE_BYTES, signal })) {
      got += chunk.length
      yield chunk
    }
  }
}

/** @throws RopewalkError */
export async function jobAt(local: LocalClient, { id, cluster }: JobPlace, signal: AbortSignal): Promise<Job> {
  return (await local.api.job({ params: { job: id }, query: { cluster } }, { signal })).job
}

/** Waits until a job has ended; a head that cannot be reached meanwhile is asked again. @throws RopewalkError `timeout` */
export async function untilEnded(
  local: LocalClient,
  place: JobPlace,
  { signal, timeoutMs = STOP_MS }: { signal: AbortSignal; timeoutMs?: number | undefined },
): Promise<Job> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const late = performance.now() > deadline
    const job = await jobAt(local, place, signal).catch((error: unknown) => {
      const known = toRopewalkError(error)
      if (late || known.exitCode !== EXIT_UNREACHABLE) throw known
      return undefined
    })
    if (job !== undefined && hasEnded(job)) return job
    if (late && job !== undefined) {
      throw new RopewalkError('timeout', `${place.id} is still ${job.status}`, {
        hint: `ropewalk job status ${place.id}`,
      })
    }
    await sleep(POLL_MS, undefined, { signal })
  }
}
