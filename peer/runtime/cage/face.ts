import type { RopewalkError } from '@ropewalk/shared/errors'
import type { LeaseId } from '@ropewalk/shared/runtime'

/** Where a cage's processes find the virtual environment; short, and the same on every worker. */
export const RUNTIME_INSIDE = '/opt/runtime'

/** Home of a cage's processes, inside. */
export const HOME_INSIDE = '/home/lease'

/** What of this machine a cage may use. */
export interface CageDevices {
  readonly cpus: number
  readonly memoryMiB: number
  /** Numbers of GPUs. */
  readonly gpus: readonly number[]
}

/** What is to run, and with what. */
export interface CageSpec {
  readonly id: LeaseId
  /** Run inside, in the foreground; when it ends, so does everything else. Visible to this machine's users: no secrets. */
  readonly command: readonly string[]
  /** Added to a small environment of the cage's own. May hold secrets: never on a command line, never in a log. */
  readonly env: Readonly<Record<string, string>>
  /** Folder of the virtual environment, on this machine. Inside it is read-only at {@link RUNTIME_INSIDE}. */
  readonly runtime: string
  readonly devices: CageDevices
  /** First port of its block. */
  readonly ports: number
  readonly mesh: { readonly interface: string; readonly addresses: readonly string[] }
}

/** How what ran in a cage came to its end. */
export interface CageEnd {
  /** The command's status, 128 + N for signal N; null when that is not known. */
  readonly code: number | null
  /** The last lines of its output, for people. */
  readonly tail: string
}

/** What a command said that ran in a cage. */
export interface CageAnswer {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Limits of {@link Cage.exec}. */
export interface ExecOptions {
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs: number
}

/** Processes apart from everything else on this machine. They end with this process at the latest. */
export interface Cage {
  readonly id: LeaseId
  /** The last lines of output so far. */
  tail(): string
  /** Settles when everything in it has ended; what the cage is made of stays until {@link Cage.stop}. */
  readonly ended: Promise<CageEnd>
  /**
   * Runs a short command inside, as the same user. Each of its outputs is cut after 1 MiB.
   * @throws RopewalkError `timeout`, `aborted`, `not-running`
   */
  exec(command: readonly string[], options: ExecOptions): Promise<CageAnswer>
  /** TCP ports outside of its block that its processes listen on; none where its user is not its own. */
  ownPorts(): Promise<readonly number[]>
  /** SIGKILL to everything. Resolves when nothing is left: processes, port rules, control groups, folder. Idempotent. */
  stop(): Promise<void>
  /** Its `/tmp` on this machine. The lease's processes write there: a link in it may lead anywhere, follow none. */
  readonly logFolder: string
}

/** The cages of one peer. */
export interface Cages {
  /** @throws RopewalkError `bad-input`, `conflict`, `engine-failed`, `aborted`, `timeout`, and what {@link Cages.check} finds */
  open(spec: CageSpec, options: { readonly signal: AbortSignal }): Promise<Cage>
  /** Removes what earlier processes left, and names the leases. To be called before the first {@link Cages.open}. */
  sweep(): Promise<readonly LeaseId[]>
  /** Why no cage can be made here, with a next step. */
  check(): Promise<RopewalkError | undefined>
}
