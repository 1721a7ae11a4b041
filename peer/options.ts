import type { NodeName } from '@ropewalk/shared/identity'
import type { Service } from '@ropewalk/shared/policy'
import type { NodeRecord } from '@ropewalk/shared/records'
import type { LocalDoor } from './api/index.ts'
import type { RuntimeOptions } from './runtime/index.ts'

/** How a peer is run. What is not said is as it was at the last start, or the default. */
export interface PeerOptions {
  readonly stateFolder: string
  /** The ticket's text; needed once. */
  readonly ticket?: string | undefined
  /** The name to ask for where the ticket fixes none; this machine's name if absent. */
  readonly name?: NodeName | undefined
  /** No interface of this machine is made or changed. */
  readonly rootless: boolean
  /** UDP for WireGuard and TCP for libp2p; random at first and then kept. */
  readonly listenPort?: number | undefined
  readonly tunName: string
  /** Only these interfaces of this machine carry the mesh. */
  readonly interfaces?: readonly string[] | undefined
  /** Exposed from the start, beside what was exposed before. */
  readonly expose: readonly Service[]
  /** Whether this machine resolves the mesh's names: `auto` where its resolv.conf is nobody else's. */
  readonly names: 'auto' | 'on' | 'off'
  readonly doors: readonly LocalDoor[]
  readonly runtime?: Omit<RuntimeOptions, 'meshInterface'> | undefined
  /** Set for a relay: its front, and how it is announced. */
  readonly relay?:
    | { readonly front: NonNullable<NodeRecord['relay']>; readonly announce: readonly string[] }
    | undefined
}
