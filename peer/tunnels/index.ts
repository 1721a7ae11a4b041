export type { AgentState } from './agent.ts'
export type { AllowanceLimits } from './allowance.ts'
export { breakOff } from './break-off.ts'
export { innerCertificate, type PemPair, selfSignedWeb } from './certificate.ts'
export { type Channel, createChannel, errorOf, type Heartbeat } from './channel.ts'
export { awaitGo, dialData } from './data-connection.ts'
export { createForward, type Forward, type ForwardDependencies, type ForwardOptions } from './forward.ts'
export { joinSockets } from './join-sockets.ts'
export { type KernelMeshOptions, kernelMesh, type MeshNetwork, type MeshTarget } from './mesh-network.ts'
export { type PortMapping, parsePorts } from './port-spec.ts'
export { dialRelay } from './relay-link.ts'
export { createReviewer, type Reviewer } from './reviewer.ts'
export { createServices, parseExpose, type Services } from './services.ts'
export {
  createTunnels,
  type Grants,
  type Route,
  type StreamWish,
  type Tunnels,
  type TunnelsDependencies,
  type TunnelsOptions,
} from './tunnels.ts'
export { exporterOf } from './upgrade.ts'
