export type { Liveness } from './life.ts'
export {
  createTopology,
  type Topology,
  type TopologyDependencies,
  type TopologyOptions,
} from './topology.ts'
