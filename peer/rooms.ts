import type { Status } from '@ropewalk/shared/api'
import type { Logger } from '@ropewalk/shared/logger'
import type { Policy } from '@ropewalk/shared/policy'
import type { Device } from 'node-wireguard'
import type { Connectivity } from './connectivity/index.ts'
import type { Discovery } from './discovery/index.ts'
import type { EchoNetwork } from './network/index.ts'
import type { PeerOptions } from './options.ts'
import type { Runtime } from './runtime/index.ts'
import type { State } from './state/index.ts'
import type { Topology } from './topology/index.ts'
import type { Services, Tunnels } from './tunnels/index.ts'

/** Something that deserves the user's eye, with a next step. */
export type Warning = Status['warnings'][number]

/** The rooms of a running peer. */
export interface Rooms {
  readonly options: PeerOptions
  readonly logger: Logger
  readonly state: State
  readonly discovery: Discovery
  readonly device: Device
  readonly mesh: EchoNetwork
  readonly connectivity: Connectivity
  readonly services: Services
  readonly tunnels: Tunnels
  readonly runtime: Runtime
  readonly policy: () => Policy
  /** The mesh as this node knows it. */
  readonly topology: Topology
  /** What discovery wants people to know, by code. */
  readonly warnings: ReadonlyMap<string, Warning>
  readonly startedAtMs: number
}
