import { rayPort } from '@ropewalk/shared/runtime'

/** What Ray and the libraries on it must know. */
export interface RayEnvironmentOptions {
  /** The cluster's token: a secret. */
  readonly token: string
  /** Name of the mesh's interface. */
  readonly interface: string
  /** Own IPv4 address in the mesh. */
  readonly address: string
  /** First port of its block. */
  readonly ports: number
  /** How many GPUs are leased. */
  readonly gpus: number
}

/** Variables of everything in a cluster's cage. The libraries would else choose an interface of their own. */
export function rayEnvironment(options: RayEnvironmentOptions): Record<string, string> {
  const { address, ports } = options
  return {
    RAY_AUTH_MODE: 'token',
    RAY_AUTH_TOKEN: options.token,
    RAY_USAGE_STATS_ENABLED: '0',
    // There is none in a cage, and the dashboard would wait 30 s for it.
    RAY_GRAFANA_HOST: 'DISABLED',
    // A path of the mesh may be repaired for minutes: nodes wait that long for their head.
    RAY_gcs_rpc_server_reconnect_timeout_s: '600',
    // gRPC would close a connection (keepalive, TCP_USER_TIMEOUT) after 20 s without an answer, and Ray fail what is on it.
    // Not after less than 90 s: TCP's pauses double, and it may see that late that a cut of 45 s is over.
    RAY_grpc_keepalive_timeout_ms: '90000',
    // Who waits for a task on a node that is cut off hears of it by this alone, and tries it again elsewhere: by itself it
    // asks after 5 min, though the head gave the node up long before.
    RAY_grpc_client_keepalive_time_ms: '15000',
    RAY_grpc_client_keepalive_timeout_ms: '90000',
    AUTOSCALER_METRIC_PORT: String(rayPort(ports, 'autoscalerMetrics')),
    DASHBOARD_METRIC_PORT: String(rayPort(ports, 'dashboardMetrics')),
    // On workers; on the head a job says itself where Serve listens, by default on port 8000 of the loopback interface.
    RAY_SERVE_WORKER_PROXY_HTTP_PORT: String(rayPort(ports, 'serveHttp')),
    RAY_SERVE_WORKER_PROXY_GRPC_PORT: String(rayPort(ports, 'serveGrpc')),
    ROPEWALK_ADDRESS: address,
    ROPEWALK_SERVE_PORT: String(rayPort(ports, 'serveHttp')),
    GLOO_SOCKET_IFNAME: options.interface,
    NCCL_SOCKET_IFNAME: options.interface,
    TP_SOCKET_IFNAME: options.interface,
    VLLM_HOST_IP: address,
    // Only the leased ones are there, and they are counted from 0.
    CUDA_VISIBLE_DEVICES: Array.from({ length: options.gpus }, (_, index) => index).join(','),
  }
}
