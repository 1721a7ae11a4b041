import { randomBytes } from 'node:crypto'
import { RopewalkError } from '@ropewalk/shared/errors'
import { isNodeId, type NodeId } from '@ropewalk/shared/identity'
import {
  type InviteId,
  inviteIdOf,
  type NewRevocations,
  openPolicy,
  openRevocations,
  type PolicyStatement,
  peekCertificate,
  type Revocations,
  signPolicy,
  signRevocations,
  signToken,
} from '@ropewalk/shared/membership'
import { requireNetwork, requireRoot } from './founding.ts'
import type { State } from './state.ts'

/**
 * Revokes a member: its node key and its invite. `who` is a name or node id; the name of a ticket that nobody has used
 * revokes the ticket. A running peer takes the new list from the folder and spreads it; what it knows of the member and
 * has not written yet is `nodeId`.
 * @throws RopewalkError `unknown-peer`, `missing-right`, `state-missing`
 */
export async function revoke(state: State, who: string, nowMs: number, nodeId?: NodeId): Promise<Revocations> {
  await requireRoot(state)
  const { nodes, invites } = await find(state, who)
  if (nodeId !== undefined) nodes.add(nodeId)
  if (nodes.size === 0 && invites.size === 0) {
    throw new RopewalkError('unknown-peer', `No member or ticket “${who.slice(0, 80)}” is known here`, {
      hint: 'see ropewalk peers, or give the node id',
    })
  }
  return await extend(state, { nodes: [...nodes], invites: [...invites], nowMs })
}

/** Revokes an API token. @throws RopewalkError `missing-right`, `state-missing` */
export async function revokeToken(state: State, id: InviteId, nowMs: number): Promise<Revocations> {
  const list = await extend(state, { tokens: [id], nowMs })
  await state.tokens.update((held = []) => held.map((token) => (token.id === id ? { ...token, revoked: true } : token)))
  return list
}

/** Makes an API token, signed by the root or, without it, by this node's key. Returns its text, which is kept nowhere. */
export async function createToken(
  state: State,
  options: {
    readonly scopes: readonly string[]
    readonly expiresInMs: number
    readonly note?: string
    readonly nowMs: number
  },
): Promise<string> {
  const network = await requireNetwork(state)
  const issuer = (await state.root.read())?.root ?? (await state.identity.read())?.nodeKey
  if (issuer === undefined) throw new RopewalkError('state-missing', `${state.folder} holds no key to sign with`)
  const id = inviteIdOf(randomBytes(16))
  const { scopes, nowMs, note } = options
  const notAfterMs = nowMs + options.expiresInMs
  const text = signToken(network, { id, scopes, issuedAtMs: nowMs, notAfterMs }, issuer)
  const known = { id, scopes: [...scopes], note, issuedAtMs: nowMs, notAfterMs, revoked: false }
  await state.tokens.update((held = []) => [...held, known])
  return text
}

/** Signs the network's next policy. @throws RopewalkError `missing-right`, `state-missing` */
export async function setPolicy(state: State, rules: Uint8Array, nowMs: number): Promise<PolicyStatement> {
  const network = await requireNetwork(state)
  const { root } = await requireRoot(state)
  const next = await state.policy.update((held) => {
    const seq = held === undefined ? 1 : openPolicy(network, held).seq + 1
    return signPolicy(network, { seq, issuedAtMs: nowMs, rules }, root).bytes
  })
  return openPolicy(network, next)
}

async function extend(state: State, added: NewRevocations): Promise<Revocations> {
  const network = await requireNetwork(state)
  const { root } = await requireRoot(state)
  const next = await state.revocations.update((held) => {
    const previous = held === undefined ? undefined : openRevocations(network, held)
    return signRevocations(network, previous, added, root).bytes
  })
  return openRevocations(network, next)
}

async function find(state: State, who: string): Promise<{ nodes: Set<NodeId>; invites: Set<InviteId> }> {
  const nodes = new Set<NodeId>()
  const invites = new Set<InviteId>()
  if (isNodeId(who)) nodes.add(who)
  const members = (await state.members.read()) ?? []
  const claims = (await state.claims.read()) ?? []
  for (const one of [...members.map(({ bundle }) => peekCertificate(bundle.certificate)), ...claims]) {
    if (one.name !== who && one.nodeId !== who) continue
    nodes.add(one.nodeId)
    invites.add(one.invite)
  }
  for (const invite of (await state.invites.read()) ?? []) {
    if (invite.name !== who && invite.relay?.nodeId !== who) continue
    invites.add(invite.id)
    if (invite.relay !== undefined) nodes.add(invite.relay.nodeId)
  }
  return { nodes, invites }
}
