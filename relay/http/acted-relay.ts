import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { createTopology, type Topology } from '@ropewalk/peer/topology'
import { parseAddress, parsePrefix } from '@ropewalk/shared/addressing'
import type { AuditEntry, Stream } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { generateSigningKey, type NodeId, parseName } from '@ropewalk/shared/identity'
import { createStack } from '@ropewalk/shared/lifecycle'
import { silentLogger } from '@ropewalk/shared/logger'
import {
  foundNetwork,
  inviteIdOf,
  newerRevocations,
  openPolicy,
  openRevocations,
  type PolicyStatement,
  type Revocations,
  signToken,
} from '@ropewalk/shared/membership'
import type { Registry } from 'prom-client'
import { type Audit, createAudit } from '../audit/index.ts'
import { createRegistry, createWeb, type HttpLimits, type Tls, type Web, type WebDependencies } from './index.ts'

type ActedDiscovery = Parameters<typeof createTopology>[1]['discovery'] & WebDependencies['discovery']
type Member = ActedDiscovery['self']

const HOUR_MS = 3_600_000

/** A relay's HTTP side with the rest of the relay played by a test: statements and tokens are real, members are not. */
export interface ActedRelay {
  readonly web: Web
  readonly topology: Topology
  readonly audit: Audit
  readonly registry: Registry
  readonly network: ReturnType<typeof foundNetwork>
  readonly root: ReturnType<typeof generateSigningKey>
  readonly streams: Map<string, Stream>
  /** What makes the relay unready, if anything. */
  unready: string | undefined
  policy: PolicyStatement | undefined
  revocations: Revocations | undefined
  token(scopes: readonly string[], patch?: { readonly id?: Uint8Array; readonly notAfterMs?: number }): string
  join(name: string, patch?: Partial<Member>): Member
  /** Resolves when the topology has changed once more. */
  changed(): Promise<void>
  entries(): AuditEntry[]
  stop(): Promise<void>
}

export interface ActedRelayOptions {
  readonly tls?: Tls
  readonly limits?: HttpLimits
}

const MANY: HttpLimits = { requestsPerMinute: 1e9, refusalsPerMinute: 1e9, maxLagMs: 60_000 }

export async function actRelay({ tls = { kind: 'none' }, limits = MANY }: ActedRelayOptions = {}): Promise<ActedRelay> {
  const root = generateSigningKey()
  const network = foundNetwork({
    name: parseName('acted'),
    ipv4Prefix: parsePrefix('100.88.0.0/16'),
    root,
    nextRootKey: generateSigningKey().publicKey,
    nowMs: Date.now(),
  })
  const members = new Map<NodeId, Member>()
  const heard = new Set<Parameters<ActedDiscovery['onChange']>[0]>()
  const self = memberCalled('relay', { rights: ['relay'] })
  const streams = new Map<string, Stream>()
  const discovery: ActedDiscovery = {
    self,
    network,
    members: () => [...members.values()],
    onChange: (listener) => {
      heard.add(listener)
      return () => heard.delete(listener)
    },
    onReport: () => () => undefined,
    connectedTo: () => false,
    policy: () => relay.policy,
    setPolicy: async (bytes) => {
      relay.policy = openPolicy(network, bytes)
      return relay.policy
    },
    revocations: () => relay.revocations,
    revoke: async (bytes) => {
      relay.revocations = newerRevocations(relay.revocations, openRevocations(network, bytes))
      return relay.revocations
    },
  }
  const topology = createTopology(
    { liveness: 'discovery', epoch: 'epoch-1' },
    {
      discovery,
      links: { report: () => [], onChange: () => () => undefined },
      nowMs: Date.now,
      logger: silentLogger,
    },
  )
  const audit = createAudit({}, { logger: silentLogger, nowMs: Date.now })
  const registry = createRegistry()
  const web = createWeb(
    { tls, version: '0.0.0', limits },
    {
      discovery,
      topology,
      audit,
      registry,
      logger: silentLogger,
      nowMs: Date.now,
      tunnels: {
        agents: () => [{ nodeId: self.nodeId, name: 'relay', since: 1, pooled: 2, streams: 0 }],
        streams: () => [...streams.values()],
        end: (id) => {
          if (!streams.delete(id)) throw new RopewalkError('not-found')
        },
      },
      bearers: {
        view: () => ({ network, nowMs: Date.now(), revocations: relay.revocations, mayIssue: () => false }),
        nameOf: () => undefined,
      },
      unready: () => relay.unready,
      wellKnown: () => ({ version: 1, nodeId: self.nodeId, record: 'AAAA', bundle: 'AAAA' }),
      upgrade: () => false,
    },
  )
  const stack = createStack()
  stack.use(topology)
  stack.use(web)
  let ids = 0
  const relay: ActedRelay = {
    web,
    topology,
    audit,
    registry,
    network,
    root,
    streams,
    unready: undefined,
    policy: undefined,
    revocations: undefined,
    token: (scopes, { id = new Uint8Array(16).fill(ids++), notAfterMs = Date.now() + HOUR_MS } = {}) =>
      signToken(network, { id: inviteIdOf(id), scopes, issuedAtMs: Date.now(), notAfterMs }, root),
    join: (name, patch) => {
      const member = memberCalled(name, patch)
      members.set(member.nodeId, member)
      for (const listener of heard) listener({ kind: 'joined', member })
      return member
    },
    changed: () =>
      new Promise((resolve) => {
        const undo = topology.onDelta(() => {
          undo()
          resolve()
        })
      }),
    entries: () => audit.entries(),
    stop: () => stack.stop(),
  }
  await stack.start()
  return relay
}

/** A public port in front of it, as the tunnels' front is: connections come by `emit('connection')`. */
export async function openFront(relay: ActedRelay): Promise<{ port: number; sockets: Set<Socket>; close(): void }> {
  const sockets = new Set<Socket>()
  const front = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket))
    // as the real front does: it has looked at the first bytes and put them back
    socket.once('readable', () => {
      const first: Buffer | null = socket.read()
      if (first !== null) socket.unshift(first)
      socket.allowHalfOpen = false
      relay.web.server.emit('connection', socket)
    })
  })
  front.listen(0, '127.0.0.1')
  await once(front, 'listening')
  const address = front.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    port,
    sockets,
    close() {
      front.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

function memberCalled(name: string, patch: Partial<Member> = {}): Member {
  const member = {
    nodeId: generateSigningKey().nodeId,
    name: parseName(name),
    tags: [],
    rights: [],
    addresses: { v6: parseAddress('fd00::1'), v4: parseAddress('100.88.0.1') },
    lastHeardMs: Date.now(),
    state: 'online',
    ...patch,
  }
  return member as unknown as Member // keys and statements of members are not what HTTP looks at
}
