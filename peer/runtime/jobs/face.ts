import type { Duplex } from 'node:stream'
import type { Logger } from '@ropewalk/shared/logger'

/** Opens a connection to a port of the cluster's head, by mesh or tunnel. */
export type DialHead = (port: number, signal: AbortSignal) => Promise<Duplex>

export interface JobsOptions {
  readonly dashboardPort: number
  /** The cluster's: whoever holds it commands the cluster. */
  readonly token: string
  /** Most bytes of the files of a working directory, before they are packed; 500 MB unless said. */
  readonly maxWorkingDirBytes?: number
  /** For one answer; 30,000 unless said. Uploads and logs may take longer, but not stand still for twice as long. */
  readonly timeoutMs?: number
}

export interface JobsDependencies {
  readonly dial: DialHead
  readonly logger: Logger
}

export type JobStatus = 'pending' | 'running' | 'succeeded' | 'failed' | 'stopped'

/** A job as its cluster tells of it. Texts come from whoever submitted it: not fit for a terminal as they are. */
export interface JobView {
  readonly id: string
  readonly status: JobStatus
  /** The command line that sh was given. */
  readonly entrypoint: string
  /** Negative for the number of the signal that ended it; `null` until it ended, and where it never began. */
  readonly exitCode: number | null
  /** Why it waits or failed, in Ray's words. */
  readonly message: string | null
  readonly startedAtMs: number | null
  readonly endedAtMs: number | null
  readonly metadata: Readonly<Record<string, string>>
}

export interface JobWanted {
  /** For `sh -c`; {@link shellCommand} makes one out of words. */
  readonly entrypoint: string
  /** Its files are where the job runs; without one the job begins in a folder of Ray's. */
  readonly workingDir?: string
  readonly env?: Readonly<Record<string, string>>
  readonly name?: string
  /** GPUs and CPUs for the entry point itself; what its tasks and actors take is theirs to say. */
  readonly gpus?: number
  readonly cpus?: number
}

export interface SubmitOptions {
  readonly signal: AbortSignal
  /** Bytes of the packed working directory; never called when the cluster has it already. */
  readonly onProgress?: (sentBytes: number, totalBytes: number) => void
}

export interface LogOptions {
  readonly follow: boolean
  /** Bytes of the log to leave out at its beginning. */
  readonly offset?: number
  readonly signal: AbortSignal
}

/** Jobs of one cluster. All throw RopewalkError only. */
export interface Jobs {
  submit(job: JobWanted, options: SubmitOptions): Promise<{ id: string }>
  list(signal: AbortSignal): Promise<JobView[]>
  job(id: string, signal: AbortSignal): Promise<JobView>
  /** Asks for the end of a job; it has ended when its status says so. Nothing happens to one that has ended. */
  stop(id: string, signal: AbortSignal): Promise<void>
  /**
   * The log from its beginning or from an offset, following until the job ends if asked; survives lost connections by
   * going on where it was, no byte twice, none lost.
   */
  logs(id: string, options: LogOptions): AsyncIterable<Uint8Array>
}

/** Whether a job will change no more. */
export function hasEnded({ status }: Pick<JobView, 'status'>): boolean {
  return status === 'succeeded' || status === 'failed' || status === 'stopped'
}
