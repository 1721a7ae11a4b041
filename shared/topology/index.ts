export { type CollectedNode, type Collector, type CollectorOptions, createCollector, STALE_MS } from './collector.ts'
export { applyDelta, diffSnapshots, isEmptyDelta } from './delta.ts'
export {
  type Delta,
  deltaSchema,
  type LinkEnd,
  linkEndSchema,
  type PathKind,
  pathKindSchema,
  type Report,
  reportSchema,
  type Snapshot,
  snapshotSchema,
  type TopologyLink,
  type TopologyNode,
  type TopologyRelay,
  topologyLinkSchema,
  topologyNodeSchema,
  topologyRelaySchema,
} from './schema.ts'
