import type { NodeId } from '@ropewalk/shared/identity'
import { parseRelayUrl, type RelayAddress } from '@ropewalk/shared/tunnel'
import type { Connectivity } from './connectivity/index.ts'
import { type Discovery, isRelay, type Member } from './discovery/index.ts'
import type { Route } from './tunnels/index.ts'

/** How a member's services are reached now: by its mesh address, and by the relays it keeps tunnels to. */
export function routeTo(discovery: Discovery, connectivity: Connectivity, node: NodeId): Route {
  const member = discovery.member(node)
  if (member === undefined) return { direct: false, relays: [] }
  const link = connectivity.link(node)
  const usable = link !== undefined && link.state !== 'connecting'
  const its = new Set(member.record?.relays ?? [])
  const relays = relaysOf(discovery).sort((a, b) => Number(its.has(b.nodeId)) - Number(its.has(a.nodeId)))
  return { address: usable ? member.addresses.v6 : undefined, direct: link?.state === 'direct', relays }
}

/** The relays that this node knows and that have not said good-bye; itself left out. */
export function relaysOf(discovery: Discovery): RelayAddress[] {
  return discovery
    .members()
    .filter(({ nodeId, state }) => nodeId !== discovery.self.nodeId && state !== 'gone' && state !== 'revoked')
    .flatMap(relayAddress)
}

function relayAddress(member: Member): RelayAddress[] {
  const { nodeId, record } = member
  if (!isRelay(member) || record?.relay === undefined) return []
  try {
    return [parseRelayUrl(record.relay.url, nodeId)]
  } catch {
    return [] // a relay that announces rubbish is nobody's way
  }
}
