export { registerTopologyMetrics } from './metrics.ts'
