export type { Cluster, ClusterPhase } from './cluster.ts'
export { type Clusters, type ClustersDependencies, type ClusterWish, createClusters } from './clusters.ts'
export type { Ask } from './orders.ts'
