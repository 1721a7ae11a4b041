import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RayPort, rayPort, WORKER_PORTS } from '@ropewalk/shared/runtime'
import { until } from '../lab/index.ts'

const READY_MS = 60_000

/** A node of a Ray cluster on loopback, alone in a PID namespace: whatever it started ends with it. */
export interface RayNode extends AsyncDisposable {
  readonly address: string
  /** First port of its block. */
  readonly ports: number
  port(part: RayPort): number
  /** What programs of this cluster need in their environment. */
  readonly env: Readonly<Record<string, string>>
  readonly token: string
  /** Ends it without a word, as a machine that loses its power. */
  cut(): Promise<void>
}

export interface RayNodeOptions {
  readonly runtime: string
  readonly ports: number
  /** Of loopback, one for each node; not 127.0.0.1, in whose place Ray puts another address of the machine. */
  readonly address?: string
  readonly cpus?: number
  /** Joins the cluster of this node instead of being a head. */
  readonly head?: RayNode
}

/** Starts a node, and waits until it takes work. */
export async function startRay(options: RayNodeOptions): Promise<RayNode> {
  const { runtime, ports, address = '127.0.0.2', cpus = 2, head } = options
  const token = head?.token ?? randomBytes(32).toString('hex')
  const folder = await mkdtemp(join(tmpdir(), 'rw-ray-'))
  const port = (part: RayPort): number => rayPort(ports, part)
  const env = {
    ...process.env,
    PATH: `${join(runtime, 'bin')}:${process.env.PATH}`,
    RAY_AUTH_MODE: 'token',
    RAY_AUTH_TOKEN: token,
    RAY_DISABLE_DOCKER_CPU_WARNING: '1',
  }
  const role =
    head === undefined
      ? [
          '--head',
          `--port=${port('gcs')}`,
          `--dashboard-port=${port('dashboard')}`,
          `--dashboard-host=${address}`,
          `--ray-client-server-port=${port('clientServer')}`,
        ]
      : [`--address=${head.address}:${head.port('gcs')}`]
  const ray = ['start', '--block', ...role, ...nodeOptions({ address, ports, cpus, folder })]
  const program = ['--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc', '--', join(runtime, 'bin', 'ray'), ...ray]
  const child = spawn('unshare', program, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said = `${said}${text}`.slice(-20_000)
    })
  const cut = async (): Promise<void> => {
    await ended(child)
    await rm(folder, { recursive: true, force: true })
  }
  const node = { address, ports, port, env: env as Record<string, string>, token, cut, [Symbol.asyncDispose]: cut }
  try {
    await ready(child, node, head)
  } catch (error) {
    await cut()
    throw new Error(`Ray did not start:\n${said}`, { cause: error })
  }
  return node
}

function nodeOptions(node: { address: string; ports: number; cpus: number; folder: string }): string[] {
  const port = (part: RayPort): number => rayPort(node.ports, part)
  return [
    `--node-ip-address=${node.address}`,
    `--node-manager-port=${port('nodeManager')}`,
    `--object-manager-port=${port('objectManager')}`,
    `--runtime-env-agent-port=${port('runtimeEnvAgent')}`,
    `--dashboard-agent-grpc-port=${port('dashboardAgentGrpc')}`,
    `--dashboard-agent-listen-port=${port('dashboardAgentHttp')}`,
    `--metrics-export-port=${port('metricsExport')}`,
    `--min-worker-port=${node.ports + WORKER_PORTS[0]}`,
    `--max-worker-port=${node.ports + WORKER_PORTS[1]}`,
    `--num-cpus=${node.cpus}`,
    `--object-store-memory=${200 << 20}`,
    '--disable-usage-stats',
    `--temp-dir=${node.folder}`,
  ]
}

/** Ready is: the dashboard answers, and the state of the cluster names this node as alive. */
async function ready(child: ChildProcess, node: RayNode, head: RayNode | undefined): Promise<void> {
  const { address, port } = head ?? node
  const url = `http://${address}:${port('dashboard')}/api/v0/nodes?detail=0`
  await until(READY_MS, `${node.address} to be alive`, async () => {
    if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}`)
    try {
      const answer = await fetch(url, {
        headers: { authorization: `Bearer ${node.token}` },
        signal: AbortSignal.timeout(READY_MS),
      })
      const { data } = (await answer.json()) as { data: { result: { result: { node_ip: string; state: string }[] } } }
      return data.result.result.some((each) => each.node_ip === node.address && each.state === 'ALIVE') ? true : null
    } catch {
      return null // not there yet
    }
  })
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}
