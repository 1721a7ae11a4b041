import { randomBytes } from 'node:crypto'
import type { Stream, Via } from '@ropewalk/shared/api'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { NodeId, SigningKey } from '@ropewalk/shared/identity'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import type { Grant, Party, Policy } from '@ropewalk/shared/policy'
import { MESH_STREAM_PORT, type RelayAddress, STREAM_ALPN, type TunnelMembers } from '@ropewalk/shared/tunnel'
import { makeIdentity, Splicer } from 'node-wireguard'
import { type Agent, type AgentState, createAgent } from './agent.ts'
import { type AllowanceLimits, createAllowance } from './allowance.ts'
import { innerCertificate } from './certificate.ts'
import type { Heartbeat } from './channel.ts'
import type { InnerContext } from './inner-tls.ts'
import { createLiveStreams } from './live-streams.ts'
import { createMeshDoor, type MeshDoor } from './mesh-door.ts'
import type { MeshNetwork } from './mesh-network.ts'
import { createReception, type InnerService } from './reception.ts'
import { requestStream, type VisitorStream } from './request.ts'
import { createReviewer } from './reviewer.ts'
import type { Services } from './services.ts'
import { createVisitor, type Visitor } from './visitor.ts'

/** Time to reach a worker over the mesh before a tunnel is tried, in milliseconds. */
const MESH_TIMEOUT_MS = 5000
/** Time for the worker's answer there, in milliseconds. */
const MESH_ANSWER_MS = 10_000
/** What others may have open here: as much as one relay may, twice over, and a quarter of that for each member. */
const LIMITS: AllowanceLimits = { total: 2_000, perMember: 500 }

const NO_GRANTS: Grants = { address: '', list: () => [], onChange: () => () => undefined }

/** What the tunnels of a peer are made with. */
export interface TunnelsOptions {
  /** Whether others may reach this node's services. */
  readonly agent: boolean
  readonly heartbeat?: Heartbeat
  /** Connections of others at once; 2,000 and 500 a member unless said. */
  readonly limits?: AllowanceLimits
  /** Streams of one relay at once; 1,000 unless said. */
  readonly streamsPerRelay?: number
}

/** What they need of the peer. */
export interface TunnelsDependencies {
  readonly key: SigningKey
  readonly members: TunnelMembers
  readonly services: Services
  readonly policy: () => Policy
  /** What leases open here; absent where nothing is leased. */
  readonly grants?: Grants | undefined
  /** Streams that end in this process. */
  readonly inner?: ReadonlyMap<string, InnerService> | undefined
  readonly self: () => Party
  readonly logger: Logger
  /** Absent where this node has no mesh. */
  readonly mesh?: MeshNetwork
  /** How a member is reached. */
  readonly routeTo: (nodeId: NodeId) => Route
}

/** What leases open on this node; a stream lives as long as its grant. */
export interface Grants {
  /** This node's mesh address, where their ports are. */
  readonly address: string
  list(): readonly Grant[]
  onChange(listener: () => void): () => void
}

/** How a member can be reached now. */
export interface Route {
  /** Its mesh address, if there is one. */
  readonly address?: string | undefined
  /** Packets to it go straight. */
  readonly direct: boolean
  /** The relays it keeps tunnels to, the best first; then those that we know. */
  readonly relays: readonly RelayAddress[]
}

/** A stream that somebody wants. */
export interface StreamWish {
  readonly nodeId: NodeId
  readonly service: string
  readonly via: Via
  readonly signal: AbortSignal
}

/** Both ends of tunnels in one peer. */
export interface Tunnels extends Startable {
  /** A stream to a worker's service. @throws RopewalkError with the worker's or the network's reason */
  open(wish: StreamWish): Promise<VisitorStream>
  /** The relays this node shall be reachable by; those of before that are not in the list are left. */
  setRelays(relays: readonly RelayAddress[]): void
  /** That relay can be reached again, by all we know: its agent does not wait any longer. */
  relayReturned(nodeId: NodeId): void
  relays(): AgentState[]
  streams(): Stream[]
  /** Exposed services whose port on the mesh address is not ours, and why: most often they listen there themselves. */
  closedPorts(): ReadonlyMap<string, RopewalkError>
  /** @throws RopewalkError `not-found` */
  endStream(id: string): void
}

/** The tunnels of a peer. */
export function createTunnels(options: TunnelsOptions, dependencies: TunnelsDependencies): Tunnels {
  return new PeerTunnels(options, dependencies)
}

interface Running {
  readonly visitor: Visitor
  readonly context: InnerContext
  readonly makeAgent: (relay: RelayAddress) => Agent
  readonly door: MeshDoor | undefined
}

class PeerTunnels implements Tunnels {
  readonly #options: TunnelsOptions
  readonly #with: TunnelsDependencies
  readonly #live = createLiveStreams()
  readonly #agents = new Map<string, Agent>()
  readonly #undo: (() => void)[] = []
  readonly #life: Startable
  #relays: readonly RelayAddress[] = []
  #running: Running | undefined

  constructor(options: TunnelsOptions, dependencies: TunnelsDependencies) {
    this.#options = options
    this.#with = dependencies
    this.#life = startable({ start: () => this.#start(), stop: () => this.#stop() })
  }

  start(): Promise<void> {
    return this.#life.start()
  }

  stop(): Promise<void> {
    return this.#life.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#life.stop()
  }

  setRelays(relays: readonly RelayAddress[]): void {
    this.#relays = relays
    this.#matchAgents()
  }

  relayReturned(nodeId: NodeId): void {
    for (const agent of this.#agents.values()) if (agent.status.relay.nodeId === nodeId) agent.retry()
  }

  relays(): AgentState[] {
    return [...this.#agents.values()].map((agent) => agent.status)
  }

  streams(): Stream[] {
    return this.#live.list()
  }

  closedPorts(): ReadonlyMap<string, RopewalkError> {
    return this.#running?.door?.closed ?? new Map()
  }

  endStream(id: string): void {
    this.#live.end(id)
  }

  async open(wish: StreamWish): Promise<VisitorStream> {
    const member = this.#with.members.member(wish.nodeId)
    if (member === undefined) throw new RopewalkError('unknown-peer')
    if (member.revoked) throw new RopewalkError('revoked', `${member.name} is revoked`)
    const route = this.#with.routeTo(wish.nodeId)
    const ways = orderOf(wish.via, route)
    let first: RopewalkError | undefined
    for (const way of ways) {
      try {
        const opened = way === 'mesh' ? await this.#byMesh(wish, route) : await this.#byTunnel(wish, route)
        this.#watch(opened, wish)
        return opened
      } catch (error) {
        first ??= toRopewalkError(error)
        // the worker has spoken: another way would hear the same
        if (wish.signal.aborted || first.exitCode === 5) throw first
      }
    }
    throw first ?? new RopewalkError('unreachable')
  }

  async #start(): Promise<void> {
    const { key, members, services, logger, mesh, policy, grants = NO_GRANTS, inner = new Map(), self } = this.#with
    const { heartbeat, limits = LIMITS, streamsPerRelay: maxStreams = 1_000 } = this.#options
    const own = await innerCertificate(key)
    const identity = makeIdentity(own.certificate, own.key, STREAM_ALPN)
    const splicer = new Splicer()
    const context = { identity, splicer }
    const allowance = createAllowance(limits)
    const open = () => grants.list()
    const shared = { members, services, policy, grants: open, self, live: this.#live, allowance, logger, splicer }
    const reception = createReception({ ...shared, context, inner, ownAddress: grants.address })
    const visitor = createVisitor({ heartbeat }, { key, members, context, logger })
    await visitor.start()
    const door = mesh === undefined || !this.#options.agent ? undefined : createMeshDoor({ ...shared, mesh, reception })
    const makeAgent = (relay: RelayAddress): Agent =>
      createAgent({ relay, heartbeat, maxStreams }, { key, members, reception, logger })
    this.#running = { visitor, context, makeAgent, door }
    await door?.start()
    const reviewer = createReviewer(() => this.#live.review())
    for (const source of [members, services, grants]) this.#undo.push(source.onChange(reviewer.soon))
    this.#undo.push(reviewer.stop)
    this.#matchAgents()
  }

  async #stop(): Promise<void> {
    for (const undo of this.#undo.splice(0)) undo()
    this.#live.clear(new RopewalkError('aborted', 'The peer stops'))
    await Promise.all([...this.#agents.values()].map((agent) => agent.stop()))
    await this.#running?.door?.stop()
    await this.#running?.visitor.stop()
    await this.#running?.context.splicer.close()
    this.#running = undefined
  }

  #matchAgents(): void {
    if (this.#running === undefined || !this.#options.agent) return
    const wanted = new Map(this.#relays.map((relay) => [`${relay.url}#${relay.nodeId}`, relay]))
    for (const [key, agent] of this.#agents) {
      if (wanted.has(key)) continue
      this.#agents.delete(key)
      void agent.stop()
    }
    for (const [key, relay] of wanted) {
      if (this.#agents.has(key)) continue
      const agent = this.#running.makeAgent(relay)
      this.#agents.set(key, agent)
      void agent.start()
    }
  }

  async #byMesh({ nodeId, service, signal }: StreamWish, { address }: Route): Promise<VisitorStream> {
    const { mesh, members } = this.#with
    const context = this.#running?.context
    if (mesh === undefined || address === undefined || context === undefined) {
      throw new RopewalkError('no-path', 'That worker has no address on the mesh yet')
    }
    const socket = await mesh.dial({ address, port: MESH_STREAM_PORT, timeoutMs: MESH_TIMEOUT_MS, signal })
    const limit = AbortSignal.any([signal, AbortSignal.timeout(MESH_ANSWER_MS)])
    const { stream } = await requestStream(socket, { context, members, expected: nodeId, service, signal: limit })
    return { stream, id: randomBytes(16).toString('hex'), via: 'mesh' }
  }

  #byTunnel({ nodeId, service, signal }: StreamWish, { relays }: Route): Promise<VisitorStream> {
    if (this.#running === undefined) throw new RopewalkError('not-running')
    return this.#running.visitor.open({ nodeId, service, relays, signal })
  }

  #watch({ stream, id, via }: VisitorStream, { nodeId, service }: StreamWish): void {
    const { members, self } = this.#with
    const openedAt = Date.now()
    const name = members.member(nodeId)?.name ?? nodeId
    const ended = this.#live.add({
      describe: () => ({
        id,
        role: 'visitor',
        via,
        visitor: self().name,
        agent: name,
        service,
        openedAt,
        txBytes: stream.sentBytes,
        rxBytes: stream.receivedBytes,
      }),
      verdict: async () => {
        const now = members.member(nodeId)
        return now === undefined || now.revoked
          ? new RopewalkError('revoked', `${name} is a member no more`)
          : undefined
      },
      cut: (reason) => stream.destroy(reason),
    })
    void stream.closed.then(ended)
  }
}

function orderOf(via: Via, route: Route): readonly ('mesh' | 'tunnel')[] {
  if (via !== 'auto') return [via]
  const hasMesh = route.address !== undefined
  if (route.direct && hasMesh) return ['mesh', 'tunnel']
  if (route.relays.length === 0) return ['mesh']
  return hasMesh ? ['tunnel', 'mesh'] : ['tunnel']
}
