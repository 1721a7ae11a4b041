import type { MeshAddress } from '@ropewalk/shared/addressing'
import type { RopewalkError } from '@ropewalk/shared/errors'
import type { Lease } from '@ropewalk/shared/runtime'

/** What is started for a lease. */
export interface Start {
  readonly lease: Lease
  /** First port of its block. */
  readonly ports: number
  /** Numbers of its GPUs. */
  readonly gpus: readonly number[]
  /** The cluster's secret. */
  readonly token: string
  /** Where the head listens; absent for the head itself. */
  readonly head?: { readonly address: MeshAddress; readonly port: number } | undefined
}

/** A node of a cluster that was started. */
export interface Started {
  /** Ray's id of it, once it is alive in its cluster. @throws RopewalkError with the reason it is not */
  readonly ready: Promise<string>
  /** Settles when everything of it has ended, with the last lines that it wrote. */
  readonly ended: Promise<{ readonly tail: string }>
  /** TCP ports outside of its block that it listens on by its own choice; none where that cannot be told. */
  ownPorts(): Promise<readonly number[]>
  /** Ends it; resolves when nothing of it is left. */
  stop(): Promise<void>
}

/** What runs nodes of clusters on this machine. */
export interface Host {
  /** What keeps it from running any, with a next step. */
  check(): Promise<RopewalkError | undefined>
  start(what: Start, signal: AbortSignal): Promise<Started>
}
