export { writeAtomically } from './atomic-file.ts'
export type {
  Application,
  ExposedService,
  HiredCluster,
  Identity,
  KnownInvite,
  KnownToken,
  OwedRelease,
  OwnMembership,
  Ports,
  RootKeys,
  SpentLease,
} from './contents.ts'
export { createDiscoveryMemory } from './discovery-memory.ts'
export type { Document } from './document.ts'
export { admitStockDevice, type StockDevice } from './exporting.ts'
export {
  admitByRoot,
  type CreateNetworkOptions,
  createNetwork,
  ensureIdentity,
  ensureRootMembership,
  requireNetwork,
} from './founding.ts'
export {
  type CreateInviteOptions,
  type CreateRelayInviteOptions,
  createInvite,
  createRelayInvite,
  type InviteSettings,
} from './inviting.ts'
export { type AcceptOptions, acceptTicket } from './joining.ts'
export { type Lock, takeLock } from './lock.ts'
export { createToken, revoke, revokeToken, setPolicy } from './revoking.ts'
export { openState, type State, type WatchedDocument } from './state.ts'
export { waysInFor } from './ways-in.ts'
