export {
  LEASE_CLOCK_TOLERANCE_MS,
  type Lease,
  type LeaseId,
  leaseIdOf,
  MAX_CLUSTER_MEMBERS,
  openLease,
  signLease,
} from './lease.ts'
export {
  decodeOrder,
  decodeReply,
  encodeOrder,
  encodeReply,
  LEASE_STATES,
  type LeaseStanding,
  type LeaseState,
  MAX_ORDER_BYTES,
  ORDER_SERVICE,
  type Order,
  RESERVATION_MS,
} from './order.ts'
export {
  BLOCK_PORTS,
  BLOCKS,
  CLIENT_PORTS,
  FIRST_BLOCK_PORT,
  isBlock,
  type RayPort,
  rayPort,
  WORKER_PORTS,
} from './ports.ts'
export { type Gpu, type LeasedDevices, MAX_GPUS, type Offer, offer, TIERS, type Tier } from './resources.ts'
export { type LinkSpeed, tierOf, tierReaches } from './tier.ts'
