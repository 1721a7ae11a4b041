import type { Duplex, Readable } from 'node:stream'
import type { Job } from '@ropewalk/shared/api'
import type { Logger } from '@ropewalk/shared/logger'

/** Opens a connection to a port of the cluster's head, by mesh or tunnel. */
export type DialHead = (port: number, signal: AbortSignal) => Promise<Duplex>

export interface JobsOptions {
  readonly dashboardPort: number
  /** The cluster's: whoever holds it commands the cluster. */
  readonly token: string
  /** For one answer; 30,000 unless said. Uploads and logs may take longer. */
  readonly timeoutMs?: number | undefined
  /** How long an upload may stand still, in ms; 60,000 unless said: longer than the mesh takes to mend itself. */
  readonly stallMs?: number
}

export interface JobsDependencies {
  readonly dial: DialHead
  readonly logger: Logger
}

/** A job as its cluster tells of it. */
export type JobView = Omit<Job, 'cluster'>
export type JobStatus = Job['status']

export interface JobWanted {
  /** For `sh -c`; {@link shellCommand} makes one out of words. */
  readonly entrypoint: string
  /** A package that the cluster has: the job begins in a copy of it. Without one it begins in a folder of Ray's. */
  readonly package?: string | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly name?: string | undefined
  /** GPUs and CPUs for the entry point itself; what its tasks and actors take is theirs to say. */
  readonly gpus?: number | undefined
  readonly cpus?: number | undefined
}

/** A packed working directory on its way. */
export interface PackageBytes {
  readonly bytes: number
  readonly content: Readable
}

/** Where packages are kept: a cluster, or what leads to it. */
export interface PackageStore {
  hasPackage(name: string, signal: AbortSignal): Promise<boolean>
  putPackage(name: string, content: PackageBytes, signal: AbortSignal): Promise<void>
}

export interface LogOptions {
  readonly follow: boolean
  /** Bytes of the log to leave out at its beginning. */
  readonly offset?: number
  readonly signal: AbortSignal
}

/** Jobs of one cluster. All throw RopewalkError only. */
export interface Jobs extends PackageStore {
  submit(job: JobWanted, signal: AbortSignal): Promise<{ id: string }>
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
