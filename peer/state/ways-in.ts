import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import {
  MAX_WAYS,
  type Network,
  openInvite,
  openRevocations,
  parseWayIn,
  peekCertificate,
  rightsAdmit,
  type WayIn,
} from '@ropewalk/shared/membership'
import { openRecord } from '@ropewalk/shared/records'
import type { RememberedMember } from '../discovery/index.ts'
import { requireNetwork } from './founding.ts'
import type { State } from './state.ts'

/** The ways in that were named, or else those this folder knows. @throws RopewalkError `bad-input` for one that cannot be */
export async function waysInFor(state: State, via: readonly string[] | undefined): Promise<readonly WayIn[]> {
  const known = await knownWaysIn(state)
  if (via === undefined || via.length === 0) return known
  return via.slice(0, MAX_WAYS).map((text) => known.find((way) => isAt(way, text)) ?? parseWayIn(text))
}

/** Relays that tickets were made for here, and relays and admitters that this folder's peer met. */
async function knownWaysIn(state: State): Promise<readonly WayIn[]> {
  const network = await requireNetwork(state)
  const ways = new Map<NodeId, WayIn>()
  for (const { relay } of (await state.invites.read()) ?? []) {
    if (relay !== undefined) ways.set(relay.nodeId, { kind: 'relay', ...relay })
  }
  for (const member of (await state.members.read()) ?? []) {
    const way = wayTo(network, member)
    if (way !== undefined && ways.get(way.nodeId)?.kind !== 'relay') ways.set(way.nodeId, way)
  }
  const list = await state.revocations.read()
  const revoked = list === undefined ? undefined : openRevocations(network, list).nodes
  return [...ways.values()].filter((way) => revoked?.has(way.nodeId) !== true).slice(0, MAX_WAYS)
}

function wayTo(network: Network, { bundle, record }: RememberedMember): WayIn | undefined {
  if (record === undefined || !rightsAdmit(openInvite(network, bundle.invite).body.rights)) return undefined
  const { nodeId } = peekCertificate(bundle.certificate)
  const { relay, addresses, gone } = openRecord(record).body
  if (relay !== undefined) return { kind: 'relay', url: relay.url, nodeId }
  const address = addresses.find((one) => !/\/(127\.|::1\/)/.test(one)) ?? addresses[0]
  if (gone === true || address === undefined) return undefined
  return parseWayIn(address.includes('/p2p/') ? address : `${address}/p2p/${nodeId}`)
}

function isAt(way: WayIn, text: string): boolean {
  if (way.kind !== 'relay' || text.includes('#')) return false
  const [mine, theirs] = [URL.parse(way.url), URL.parse(text)]
  return mine !== null && mine.origin === theirs?.origin
}

/** The error of a folder that knows no way in. */
export function noWayIn(): RopewalkError {
  return new RopewalkError('conflict', 'No relay or admitter is known that a joiner could knock at', {
    hint: 'make a relay’s ticket first (ropewalk invite --relay …), run ropewalk up here once, or name one with --via',
  })
}
