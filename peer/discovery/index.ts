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
export type { DiscoveryMemory, RememberedMember } from './memory.ts'
