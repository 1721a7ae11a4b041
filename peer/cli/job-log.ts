import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { RopewalkError } from '@ropewalk/shared/errors'
import { hasEnded, type Jobs, type JobView } from '../runtime/jobs/index.ts'

const POLL_MS = 300
/** Ray gives a job 3 s between SIGTERM and SIGKILL. */
const STOP_MS = 30_000

export interface LogPrinted {
  readonly id: string
  readonly follow: boolean
  readonly offset: number
  /** Bytes as they are, or one JSON object for each piece. */
  readonly form: 'bytes' | 'json'
  readonly to: Writable
}

/** Prints a job's log as it comes. */
export async function printLog(
  jobs: Jobs,
  { id, follow, offset, form, to }: LogPrinted,
  signal: AbortSignal,
): Promise<void> {
  const decoder = new TextDecoder()
  let at = offset
  for await (const chunk of jobs.logs(id, { follow, offset, signal })) {
    const log = form === 'json' ? decoder.decode(chunk, { stream: true }) : ''
    const piece = form === 'json' ? `${JSON.stringify({ version: 1, id, offset: at, log })}\n` : chunk
    if (!to.write(piece)) await once(to, 'drain', { signal })
    at += chunk.length
  }
}

/** Waits until a job has ended. @throws RopewalkError `timeout` */
export async function untilEnded(
  jobs: Jobs,
  id: string,
  { signal, timeoutMs = STOP_MS }: { signal: AbortSignal; timeoutMs?: number | undefined },
): Promise<JobView> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const job = await jobs.job(id, signal)
    if (hasEnded(job)) return job
    if (performance.now() > deadline)
      throw new RopewalkError('timeout', `${id} is still ${job.status}`, { hint: `ropewalk job status ${id}` })
    await sleep(POLL_MS, undefined, { signal })
  }
}
