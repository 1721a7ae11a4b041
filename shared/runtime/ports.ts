/** Ports of one lease on one worker. */
export const BLOCK_PORTS = 100

/** The first port of all blocks: below what Linux gives to outgoing connections. */
export const FIRST_BLOCK_PORT = 20_000

/** Blocks of a worker, so leases at once. They end where {@link CLIENT_PORTS} begin. */
export const BLOCKS = 30

/** First and last port for the servers of Ray's clients (`ray://`): fixed in Ray's source (`util/client/server/proxier.py`),
 *  on the loopback interface only, shared by all leases. */
export const CLIENT_PORTS = [23_000, 23_999] as const

/** Where in its block each part of Ray listens, and a Jupyter beside it. */
export const RAY_PORTS = {
  gcs: 0,
  nodeManager: 1,
  objectManager: 2,
  runtimeEnvAgent: 3,
  dashboardAgentGrpc: 4,
  dashboardAgentHttp: 5,
  metricsExport: 6,
  dashboard: 7,
  clientServer: 8,
  autoscalerMetrics: 9,
  dashboardMetrics: 10,
  serveHttp: 11,
  serveGrpc: 12,
  jupyter: 13,
} as const

/** Parts of Ray that listen on a port of their own. */
export type RayPort = keyof typeof RAY_PORTS

/** Offsets of the first and last port for Ray's workers, which take one each. */
export const WORKER_PORTS = [20, BLOCK_PORTS - 1] as const

/** Whether a port begins a block. */
export function isBlock(first: number): boolean {
  const offset = first - FIRST_BLOCK_PORT
  return offset >= 0 && offset < BLOCKS * BLOCK_PORTS && offset % BLOCK_PORTS === 0
}

/** The port of a part of Ray in the block that begins at `first`. */
export function rayPort(first: number, part: RayPort): number {
  return first + RAY_PORTS[part]
}
