export { type Client, type ClientOptions, createClient, type FetchLike, type Input } from './client.ts'
export { API_PREFIX, type Contract, contract, type Endpoint, type Scope } from './endpoint.ts'
export {
  type Job,
  jobIdSchema,
  jobSchema,
  type LogQuery,
  logQuerySchema,
  MAX_PACKAGE_BYTES,
  packageNameSchema,
  type Unasked,
} from './job-schema.ts'
export { clusterQuerySchema, jobsApi } from './jobs-api.ts'
export { type PageQuery, pageOf, pageQuerySchema, pageSchema } from './page.ts'
export {
  peerApi,
  pingSchema,
  STREAM_UPGRADE,
  type StockPeer,
  type StreamQuery,
  streamQuerySchema,
} from './peer-api.ts'
export { relayApi } from './relay-api.ts'
export { runtimeApi } from './runtime-api.ts'
export {
  type RuntimeDelta,
  type RuntimeSnapshot,
  runtimeDeltaSchema,
  runtimeSnapshotSchema,
} from './runtime-events.ts'
export type { ClusterAccess, ClusterView, DeviceView, HeldLease, RuntimeView } from './runtime-schema.ts'
export {
  type Agent,
  type AuditEntry,
  agentSchema,
  auditSchema,
  doneSchema,
  type OfferedService,
  offeredServiceSchema,
  type Path,
  type Peer,
  pathSchema,
  peerSchema,
  relayStatusSchema,
  type Status,
  type Stream,
  statementSchema,
  statusSchema,
  streamSchema,
  type Via,
  versionSchema,
  viaSchema,
  warningSchema,
} from './schema.ts'
