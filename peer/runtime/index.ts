export { type ClusterJobs, headOf } from './cluster-jobs.ts'
export type { Cluster } from './hire/index.ts'
export { runtimeFolder } from './install/index.ts'
export { createRuntime, type Runtime, type RuntimeDependencies, type RuntimeOptions } from './runtime.ts'
