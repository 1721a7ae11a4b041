export type { TunnelEvent } from './events.ts'
export { createFront, type Front, type FrontDependencies, type FrontOptions } from './front.ts'
export type { Joiner, Joint, JointOptions } from './joint.ts'
export { createTunnelMetrics, type TunnelMetrics } from './metrics.ts'
export { createNoiseLimit, type NoiseLimit } from './noise.ts'
export { createSources, type SourceLimits, type Sources } from './sources.ts'
export {
  createRelayTunnels,
  type RelayTunnels,
  type TunnelCounts,
  type TunnelsDependencies,
  type TunnelsOptions,
} from './tunnels.ts'
export { createWebDoor, type WebDoor } from './web-door.ts'
