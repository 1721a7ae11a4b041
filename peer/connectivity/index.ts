export {
  type Connectivity,
  type ConnectivityDependencies,
  type ConnectivityOptions,
  createConnectivity,
} from './connectivity.ts'
export { createForwarding, type ForwardingDependencies, type ForwardingOptions } from './forwarding.ts'
export type { LinkPath, PeerLink } from './peer-links.ts'
