import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer as createHttps, type Server as HttpsServer } from 'node:https'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  type AllowanceLimits,
  createServices,
  createTunnels,
  type Heartbeat,
  kernelMesh,
  type Services,
  selfSignedWeb,
  type Tunnels,
} from '@ropewalk/peer/tunnels'
import { RopewalkError } from '@ropewalk/shared/errors'
import { generateSigningKey, type NodeId, parseNodeId, type SigningKey } from '@ropewalk/shared/identity'
import { createStack } from '@ropewalk/shared/lifecycle'
import { silentLogger } from '@ropewalk/shared/logger'
import { DEFAULT_POLICY, type Policy } from '@ropewalk/shared/policy'
import { parseRelayUrl, type RelayAddress, type TunnelMember, type TunnelMembers } from '@ropewalk/shared/tunnel'
import type { TunnelEvent } from './events.ts'
import {
  createFront,
  createRelayTunnels,
  createSources,
  createWebDoor,
  type Joiner,
  type RelayTunnels,
} from './index.ts'

/** A network of a few members for tests: a bundle is the node id, and the list below says who belongs. */
export class Network {
  readonly #members = new Map<NodeId, { name: string; tags: string[]; revoked: boolean }>()
  readonly #hidden = new Set<NodeId>()
  readonly #listeners = new Set<() => void>()
  policy: Policy = DEFAULT_POLICY
  /** Mesh addresses, and whether packets go straight. */
  readonly mesh = new Map<NodeId, string>()
  direct = false

  add(name: string, key: SigningKey, ...tags: string[]): void {
    this.#members.set(key.nodeId, { name, tags, revoked: false })
  }

  revoke(key: SigningKey): void {
    const member = this.#members.get(key.nodeId)
    if (member !== undefined) member.revoked = true
    this.changed()
  }

  /** No store knows it yet: it stands on its bundle alone. */
  hide(key: SigningKey): void {
    this.#hidden.add(key.nodeId)
  }

  changed(): void {
    for (const listener of this.#listeners) listener()
  }

  view(key: SigningKey): TunnelMembers {
    const member = (nodeId: NodeId): TunnelMember | undefined => {
      const found = this.#members.get(nodeId)
      return found && { nodeId, ...found }
    }
    return {
      bundle: () => bundleOf(key),
      member: (nodeId) => (this.#hidden.has(nodeId) && nodeId !== key.nodeId ? undefined : member(nodeId)),
      at: (address) => {
        for (const [nodeId, mesh] of this.mesh) if (mesh === address) return member(nodeId)
        return undefined
      },
      accept: async (bundle) => {
        const found = member(parseNodeId(Buffer.from(bundle).toString()))
        if (found === undefined) throw new RopewalkError('not-admitted')
        return found
      },
      onChange: (listener) => {
        this.#listeners.add(listener)
        return () => this.#listeners.delete(listener)
      },
    }
  }
}

/** What {@link Network} takes for a bundle. */
export function bundleOf(key: SigningKey): Uint8Array {
  return new Uint8Array(Buffer.from(key.nodeId))
}

/** A running relay. */
export interface Relay {
  readonly tunnels: RelayTunnels
  readonly address: RelayAddress
  readonly port: number
  readonly events: TunnelEvent[]
  readonly web: HttpsServer
  stop(): Promise<void>
}

/** How a test's relay differs from an honest one with defaults. */
export interface RelaySettings {
  readonly joiner?: Joiner
  readonly port?: number
  readonly key?: SigningKey
  readonly perSource?: number
  readonly timeoutMs?: number
  readonly maxStreamsEach?: number
}

/** A relay of that network on a port of its own. */
export async function startRelay(network: Network, settings: RelaySettings = {}): Promise<Relay> {
  const key = settings.key ?? generateSigningKey()
  if (settings.key === undefined) network.add('relay', key)
  const events: TunnelEvent[] = []
  const sources = createSources({ perSource: settings.perSource ?? 256, total: 4096 })
  const { timeoutMs, maxStreamsEach, joiner } = settings
  const tunnels = createRelayTunnels(
    {
      ...(timeoutMs === undefined ? {} : { proofTimeoutMs: timeoutMs }),
      ...(maxStreamsEach === undefined ? {} : { maxStreamsEach }),
    },
    {
      key,
      members: network.view(key),
      sources,
      logger: silentLogger,
      onEvent: (event) => events.push(event),
      ...(joiner === undefined ? {} : { joiner }),
    },
  )
  const web = createHttps(await selfSignedWeb('127.0.0.1'), (_request, response) => response.end('web'))
  web.on('upgrade', (request, socket, head) => {
    if (!tunnels.upgrade(request, socket, head)) socket.destroy()
  })
  const front = createFront(
    {
      address: '127.0.0.1',
      port: settings.port ?? 0,
      ...(timeoutMs === undefined ? {} : { helloTimeoutMs: timeoutMs }),
    },
    {
      data: (socket, release) => tunnels.data(socket, release),
      web: createWebDoor(web),
      sources,
      logger: silentLogger,
    },
  )
  const stack = createStack()
  stack.use(tunnels)
  stack.use(front)
  await stack.start()
  return {
    tunnels,
    web,
    events,
    port: front.port,
    address: parseRelayUrl(`https://127.0.0.1:${front.port}/`, key.nodeId),
    async stop() {
      await stack.stop()
      web.closeAllConnections()
    },
  }
}

/** A running peer's tunnels. */
export interface Node {
  readonly key: SigningKey
  readonly name: string
  readonly services: Services
  readonly tunnels: Tunnels
}

/** A peer of that network. Its agent is registered when this resolves, if it has relays and is one. */
export async function startNode(
  network: Network,
  settings: {
    readonly name: string
    readonly relays: readonly Relay[]
    readonly agent: boolean
    readonly key?: SigningKey
    readonly belongs?: boolean
    readonly heartbeat?: Heartbeat
    /** A loopback address that plays the mesh address. */
    readonly meshAddress?: string
    readonly limits?: AllowanceLimits
    readonly streamsPerRelay?: number
  },
): Promise<Node> {
  const key = settings.key ?? generateSigningKey()
  const { name, relays, agent } = settings
  if (settings.belongs !== false) network.add(name, key)
  const services = createServices()
  const addresses = relays.map(({ address }) => address)
  const tunnels = createTunnels(
    {
      agent,
      ...(settings.heartbeat === undefined ? {} : { heartbeat: settings.heartbeat }),
      ...(settings.limits === undefined ? {} : { limits: settings.limits }),
      ...(settings.streamsPerRelay === undefined ? {} : { streamsPerRelay: settings.streamsPerRelay }),
    },
    {
      key,
      members: network.view(key),
      services,
      policy: () => network.policy,
      self: () => ({ nodeId: key.nodeId, name, tags: [] }),
      logger: silentLogger,
      routeTo: (nodeId) => ({ address: network.mesh.get(nodeId), direct: network.direct, relays: addresses }),
      ...(settings.meshAddress === undefined ? {} : { mesh: kernelMesh([settings.meshAddress]) }),
    },
  )
  if (settings.meshAddress !== undefined) network.mesh.set(key.nodeId, settings.meshAddress)
  await tunnels.start()
  tunnels.setRelays(addresses)
  if (agent) await until(() => relays.every((relay) => relay.tunnels.agents().some((one) => one.nodeId === key.nodeId)))
  return { key, name, services, tunnels }
}

/** A service on loopback, exposed by `node`. Answers the sockets it accepts, the latest last. */
export async function serve(
  node: Node,
  name: string,
  onSocket: (socket: Socket) => void,
): Promise<Server & { sockets: Socket[] }> {
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    onSocket(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  node.services.expose({ name, port, protocol: 'tcp', http: false })
  return Object.assign(server, { sockets })
}

/** Opens a stream by tunnel. */
export async function open(from: Node, to: Node, service: string): Promise<Duplex> {
  const wish = { nodeId: to.key.nodeId, service, via: 'tunnel' as const, signal: AbortSignal.timeout(20_000) }
  return (await from.tunnels.open(wish)).stream.duplex()
}

/** All that a stream gives until its end. */
export async function read(stream: Duplex): Promise<Buffer> {
  // not by iteration, which would destroy the other half at the end
  const chunks: Buffer[] = []
  stream.on('data', (chunk) => chunks.push(chunk))
  await once(stream, 'end')
  return Buffer.concat(chunks)
}

/** SHA-256 of everything a stream gives until its end. */
export async function digest(stream: Duplex): Promise<string> {
  const hash = createHash('sha256')
  stream.on('data', (chunk) => hash.update(chunk))
  await once(stream, 'end')
  return hash.digest('hex')
}

/** Waits for a condition that no event tells. */
export async function until(condition: () => boolean, timeoutMs = 8000): Promise<void> {
  const limit = performance.now() + timeoutMs
  while (!condition()) {
    if (performance.now() > limit) throw new Error(`not within ${timeoutMs} ms: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** A raw connection to a relay's port. */
export async function knock(relay: Relay, bytes?: Uint8Array): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: relay.port, allowHalfOpen: true })
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  if (bytes !== undefined) socket.write(bytes)
  return socket
}

/** A relay with a worker and an engineer. */
export interface World {
  readonly relay: Relay
  readonly worker: Node
  readonly engineer: Node
}

/** Starts one; `running` gets what is to be stopped, in that order. */
export async function startWorld(
  network: Network,
  running: { stop(): Promise<void> }[],
  settings: RelaySettings = {},
): Promise<World> {
  const relay = await startRelay(network, settings)
  running.push(relay)
  const worker = await startNode(network, { name: 'worker', relays: [relay], agent: true })
  running.push(worker.tunnels)
  const engineer = await startNode(network, { name: 'engineer', relays: [relay], agent: false })
  running.push(engineer.tunnels)
  return { relay, worker, engineer }
}
