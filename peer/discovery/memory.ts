import type { Bundle, ClaimStore } from '@ropewalk/shared/membership'

/** A member as it is kept across restarts: statements only, verified again when read. */
export interface RememberedMember {
  readonly bundle: Bundle
  /** The signed record. */
  readonly record?: Uint8Array | undefined
  readonly lastHeardMs: number
}

/** What discovery needs kept; `peer/state` keeps it on disk. */
export interface DiscoveryMemory {
  /** Whom this node let in, as an admitter. */
  readonly claims: ClaimStore
  /** Members known when it last ran, this node included. */
  members(): Promise<readonly RememberedMember[]>
  saveMembers(members: readonly RememberedMember[]): Promise<void>
  /** The own bundle, newly admitted. */
  saveBundle(bundle: Bundle): Promise<void>
  /** The same application with another IPv4 address of those its key may hold; nothing when all are tried or it is admitted. */
  nextBundle(): Promise<Bundle | undefined>
  /** An admitter refused the application for good; what stood before it stands again. */
  dropApplication(): Promise<void>
  revocations(): Promise<Uint8Array | undefined>
  saveRevocations(statement: Uint8Array): Promise<void>
  policy(): Promise<Uint8Array | undefined>
  savePolicy(statement: Uint8Array): Promise<void>
}
