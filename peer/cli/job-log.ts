import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Job } from '@ropewalk/shared/api'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { LocalClient } from '../client/index.ts'
import { hasEnded } from '../runtime/jobs/index.ts'

const POLL_MS = 300
/** Ray gives a job 3 s between SIGTERM and SIGKILL. */
const STOP_MS = 30_000
/** Of errors that may pass: not reachable, or no answer in time. */
const EXIT_UNREACHABLE = 4
/** A log that is not followed is asked for in pieces, in bytes. */
const PIECE_BYTES = 64 << 20

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

async function* logOf(local: LocalClient, wanted: LogPrinted, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const { id, cluster, follow } = wanted
  if (follow) return yield* local.readLog({ job: id, cluster, offset: wanted.offset, follow, signal })
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
