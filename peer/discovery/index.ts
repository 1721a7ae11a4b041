export type { DiscoveryDependencies } from './assembly.ts'
export { createDiscovery } from './discovery.ts'
export type {
  Discovery,
  DiscoveryEvent,
  DiscoveryOptions,
  Fetcher,
  Member,
  MemberState,
  RecordPatch,
  RequestHandler,
  RequestOptions,
  Unsubscribe,
  WellKnown,
} from './face.ts'
export { isRelay } from './face.ts'
export type { DiscoveryMemory, RememberedMember } from './memory.ts'
export { fetchUnverified, WELL_KNOWN_PATH, wellKnownSchema } from './well-known.ts'
