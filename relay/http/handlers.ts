import { devicesPage } from '@ropewalk/peer'
import type { Handlers } from '@ropewalk/peer/api'
import type { Discovery } from '@ropewalk/peer/discovery'
import type { Topology } from '@ropewalk/peer/topology'
import { type Agent, pageOf, type relayApi, type Stream } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { openInvite } from '@ropewalk/shared/membership'
import { DEFAULT_POLICY, type Policy, readPolicy } from '@ropewalk/shared/policy'
import type { TopologyNode } from '@ropewalk/shared/topology'
import type { Audit } from '../audit/index.ts'

/** The part of the relay's tunnels that the API shows. */
export interface TunnelsView {
  agents(): Agent[]
  streams(): Stream[]
  /** @throws RopewalkError `not-found` */
  end(id: string): void
}

export interface HandlerDependencies {
  readonly discovery: Pick<
    Discovery,
    'network' | 'policy' | 'setPolicy' | 'revoke' | 'revocations' | 'self' | 'members'
  >
  readonly topology: Pick<Topology, 'snapshot'>
  readonly tunnels: TunnelsView
  readonly audit: Audit
  readonly nowMs: () => number
}

const DONE = { version: 1, done: true } as const

/** What the operations of the API do. */
export function createHandlers(dependencies: HandlerDependencies): Handlers<typeof relayApi> {
  const { discovery, topology, tunnels, audit, nowMs } = dependencies
  const find = (id: string): TopologyNode => {
    const { nodes } = topology.snapshot()
    const found = nodes.find(({ nodeId }) => nodeId === id) ?? nodes.find(({ name }) => name === id)
    if (found !== undefined) return found
    throw new RopewalkError('unknown-peer', `No member is called ${id}`)
  }
  return {
    devices: async ({ query }) => devicesPage(discovery, query),
    topology: async () => topology.snapshot(),
    nodes: async ({ query }) => {
      const { items, ...rest } = pageOf(topology.snapshot().nodes, ({ nodeId }) => nodeId, query)
      return { version: 1, nodes: items, ...rest }
    },
    node: async ({ params }) => ({ version: 1, node: find(params.id) }),
    nodePaths: async ({ params, query }) => {
      const { nodeId } = find(params.id)
      const links = topology.snapshot().links.filter(({ a, b }) => a === nodeId || b === nodeId)
      const { items, ...rest } = pageOf(links, ({ id }) => id, query)
      return { version: 1, links: items, ...rest }
    },
    relays: async ({ query }) => {
      const { items, ...rest } = pageOf(topology.snapshot().relays, ({ nodeId }) => nodeId, query)
      return { version: 1, relays: items, ...rest }
    },
    agents: async ({ query }) => {
      const { items, ...rest } = pageOf(tunnels.agents(), ({ nodeId }) => nodeId, query)
      return { version: 1, agents: items, ...rest }
    },
    tunnels: async ({ query }) => {
      const { items, ...rest } = pageOf(tunnels.streams(), ({ id }) => id, query)
      return { version: 1, streams: items, ...rest }
    },
    endTunnel: async ({ params }) => {
      tunnels.end(params.id)
      return DONE
    },
    policy: async () => {
      const statement = discovery.policy()
      if (statement === undefined) return { version: 1, sequence: 0, policy: DEFAULT_POLICY }
      return { version: 1, sequence: statement.seq, policy: policyInForce(statement.rules) }
    },
    setPolicy: async ({ body }) => {
      await discovery.setPolicy(statementBytes(body))
      return DONE
    },
    invite: async ({ body }) => {
      checkInvite(discovery, statementBytes(body), nowMs())
      return DONE
    },
    revoke: async ({ body }) => {
      await discovery.revoke(statementBytes(body))
      return DONE
    },
    audit: async ({ query }) => {
      const { items, ...rest } = pageOf(audit.entries(), ({ id }) => id, query)
      return { version: 1, entries: items, ...rest }
    },
  }
}

/**
 * An invite needs nobody to keep it: a joiner shows it, and admitters judge it then. Handing it in makes sure that this
 * network's admitters would take it, and puts it into the audit log.
 */
function checkInvite(discovery: HandlerDependencies['discovery'], statement: Uint8Array, nowMs: number): void {
  const { id, notAfterMs } = openInvite(discovery.network, statement).body
  if (discovery.revocations()?.invites.has(id) === true) throw new RopewalkError('revoked', 'The invite is revoked')
  if (notAfterMs < nowMs) throw new RopewalkError('ticket-expired', 'The invite is past its time')
}

function statementBytes({ statement }: { readonly statement: string }): Uint8Array {
  return new Uint8Array(Buffer.from(statement, 'base64url'))
}

/** To show another policy than the one in force, or none, would be a lie. */
function policyInForce(rules: Uint8Array): Policy {
  const policy = readPolicy(rules)
  if (policy !== undefined) return policy
  throw new RopewalkError('unsupported', 'The policy in force has rules that this version cannot read')
}
