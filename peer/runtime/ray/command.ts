import { type LeasedDevices, rayPort, WORKER_PORTS } from '@ropewalk/shared/runtime'
import { RUNTIME_INSIDE } from '../cage/index.ts'

/** Where Ray keeps its sessions inside a cage. Short: paths of sockets end after 107 bytes. */
export const RAY_FOLDER = '/tmp/ray'

const MIB = 1024 * 1024
/** Share of the leased memory that objects may take; Ray's own default. */
const OBJECT_SHARE = 0.3
/** Ray gives objects no more than this by itself. */
const MOST_OBJECT_MIB = 200_000
/** Ray refuses less. */
const LEAST_OBJECT_MIB = 80

/** Every worker of Ray listens on a port of its own, and there is one for each core that works; the rest is for drivers
 *  and actors that take no core. */
const MOST_CPUS = WORKER_PORTS[1] - WORKER_PORTS[0] + 1 - 8

/** Ray on one worker. */
export interface RayNode {
  readonly role: 'head' | 'worker'
  /** Its own IPv4 address in the mesh. */
  readonly address: string
  /** First port of its block. */
  readonly ports: number
  /** Where the head listens; for workers. */
  readonly head?: { readonly address: string; readonly port: number } | undefined
  readonly devices: LeasedDevices
}

/** Python of the runtime. A program's first line may name a place that does not exist inside: modules are run instead. */
export const PYTHON = `${RUNTIME_INSIDE}/bin/python3`

/** The command that runs Ray in the foreground inside a cage. Every port is one of the block's. */
export function rayCommand(node: RayNode): string[] {
  const { address, ports, devices } = node
  const memory = objectMemoryMiB(devices.memoryMiB)
  const [firstWorker, lastWorker] = WORKER_PORTS
  return [
    ...[PYTHON, '-m', 'ray.scripts.scripts', 'start', '--block', '--disable-usage-stats'],
    ...(node.role === 'head' ? headWords(node) : [`--address=${headOf(node)}`]),
    `--node-ip-address=${address}`,
    `--node-manager-port=${rayPort(ports, 'nodeManager')}`,
    `--object-manager-port=${rayPort(ports, 'objectManager')}`,
    `--runtime-env-agent-port=${rayPort(ports, 'runtimeEnvAgent')}`,
    `--dashboard-agent-grpc-port=${rayPort(ports, 'dashboardAgentGrpc')}`,
    `--dashboard-agent-listen-port=${rayPort(ports, 'dashboardAgentHttp')}`,
    `--metrics-export-port=${rayPort(ports, 'metricsExport')}`,
    `--min-worker-port=${ports + firstWorker}`,
    `--max-worker-port=${ports + lastWorker}`,
    `--num-cpus=${Math.min(devices.cpus, MOST_CPUS)}`,
    `--num-gpus=${devices.gpus}`,
    `--memory=${Math.max(1, devices.memoryMiB - memory) * MIB}`,
    `--object-store-memory=${memory * MIB}`,
  ]
}

function headWords({ address, ports }: RayNode): string[] {
  return [
    '--head',
    `--port=${rayPort(ports, 'gcs')}`,
    '--include-dashboard=true',
    `--dashboard-host=${address}`,
    `--dashboard-port=${rayPort(ports, 'dashboard')}`,
    `--ray-client-server-port=${rayPort(ports, 'clientServer')}`,
    `--temp-dir=${RAY_FOLDER}`,
  ]
}

/** Where a node's head is, as Ray writes it. */
export function headOf({ address, ports, head }: RayNode): string {
  return head === undefined ? `${address}:${rayPort(ports, 'gcs')}` : `${head.address}:${head.port}`
}

/** MiB for objects of so much leased memory. */
function objectMemoryMiB(memoryMiB: number): number {
  return Math.min(MOST_OBJECT_MIB, Math.max(LEAST_OBJECT_MIB, Math.floor(memoryMiB * OBJECT_SHARE)))
}
