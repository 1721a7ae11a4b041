import { serviceSchema } from '@ropewalk/shared/policy'
import type { Link } from '@ropewalk/shared/records'
import type { CollectedNode, Report, TopologyNode, TopologyRelay } from '@ropewalk/shared/topology'
import { isRelay, type Member } from '../discovery/index.ts'

/** A member in the words of the topology. */
export function describeNode(member: Member): CollectedNode {
  const { nodeId, name, tags, addresses, record, state } = member
  return {
    nodeId,
    name,
    tags: [...tags],
    addresses: [addresses.v6, addresses.v4],
    relay: isRelay(member),
    revoked: state === 'revoked',
    services: (record?.services ?? []).flatMap(describeService),
  }
}

/** A relay's entry; nothing for a member that is none, or says so without the right to be one. */
export function describeRelay(member: Member): Omit<TopologyRelay, 'state'>[] {
  const url = member.record?.relay?.url
  return url === undefined || !isRelay(member) ? [] : [{ nodeId: member.nodeId, name: member.name, url }]
}

/** One end's links in the words of a topology report. */
export function describeLinks(links: readonly Link[]): Report['links'] {
  return links.map(({ peer, kind, state, via, rttUs, jitterUs, lossPpm, mtu, txBytes = 0, rxBytes = 0 }) => ({
    peer,
    kind,
    up: isUp(state),
    txBytes,
    rxBytes,
    ...(via === undefined ? {} : { via }),
    ...(rttUs === undefined ? {} : { rttMs: rttUs / 1_000 }),
    ...(jitterUs === undefined ? {} : { jitterMs: jitterUs / 1_000 }),
    ...(lossPpm === undefined ? {} : { lossRatio: lossPpm / 1e6 }),
    ...(mtu === undefined || mtu === 0 ? {} : { mtu }),
  }))
}

/** Whether packets pass over a link in this state: a suspect one still carries them. */
export function isUp(state: Link['state']): boolean {
  return state === 'active' || state === 'standby' || state === 'suspect'
}

/** What a member signed need not be what our API promises: a service that does not fit is left out. */
function describeService(service: unknown): TopologyNode['services'] {
  const parsed = serviceSchema.safeParse({ http: false, ...Object(service) })
  return parsed.success ? [parsed.data] : []
}
