import { IPV4_TRIES, ipv4Of } from '@ropewalk/shared/addressing'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeName, SigningKey, Tag } from '@ropewalk/shared/identity'
import {
  type Bundle,
  type Network,
  openCertificate,
  openInvite,
  parseTicket,
  type RelayTicket,
  signCertificate,
} from '@ropewalk/shared/membership'
import type { Application, Identity, OwnMembership } from './contents.ts'
import { ensureIdentity } from './founding.ts'
import type { State } from './state.ts'

const NOTHING: OwnMembership = { waysIn: [], minRevocationSeq: 0 }

/** What `up` is told beside the ticket. */
export interface AcceptOptions {
  /** The name to ask for where the invite fixes none. */
  readonly name: NodeName
  /** Wall clock, ms. */
  readonly nowMs: number
}

/**
 * Takes a ticket into the state folder: afterwards it holds a network and an application (or a relay's keys and bundle).
 * The ticket of the certificate that is held already changes nothing, so a unit file may name it for ever.
 * @throws RopewalkError as `parseTicket`; `wrong-network` when the folder belongs to another network, `state-foreign`
 * when a relay's ticket meets another key
 */
export async function acceptTicket(state: State, text: string, options: AcceptOptions): Promise<void> {
  const ticket = parseTicket(text)
  const held = await state.membership.read()
  await checkNetwork(state, ticket.network)
  const current = held?.bundle ?? held?.application?.bundle
  if (current !== undefined && openInvite(ticket.network, current.invite).body.id === ticket.invite.body.id) return
  parseTicket(text, options.nowMs)
  if (ticket.kind === 'relay') await acceptRelay(state, ticket, held)
  else {
    const identity = await ensureIdentity(state)
    const { name = options.name, tags } = ticket.invite.body
    const application = apply(ticket.network, ticket.invite.bytes, ticket.inviteKey, {
      identity,
      name,
      tags,
      attempt: 0,
    })
    const { waysIn, minRevocationSeq } = ticket
    await state.membership.update((before) => ({ ...before, application, waysIn, minRevocationSeq }))
  }
  await state.network.update((before) => before ?? ticket.network.bytes)
}

/** The same application with the next IPv4 address of those its key may hold, or `undefined` when there is none. */
export async function nextApplication(state: State, network: Network): Promise<Bundle | undefined> {
  const identity = await ensureIdentity(state)
  let next: Bundle | undefined
  await state.membership.update((held) => {
    const application = held?.application
    const attempt = (application?.attempt ?? IPV4_TRIES) + 1
    if (held === undefined || application === undefined || attempt >= IPV4_TRIES) return held ?? NOTHING
    const { invite } = application.bundle
    const { name, tags } = openCertificate(
      network,
      openInvite(network, invite).body,
      application.bundle.certificate,
    ).body
    const again = apply(network, invite, application.inviteKey, { identity, name, tags, attempt })
    next = again.bundle
    return { ...held, application: again }
  })
  return next
}

/** Notes an admission: the application becomes the membership, and its secret is forgotten. */
export async function keepBundle(state: State, bundle: Bundle): Promise<void> {
  await state.membership.update((held) => {
    const { application: _done, ...rest } = held ?? NOTHING
    return { ...rest, bundle }
  })
}

/** Drops an application that was refused for good where an older membership still stands. */
export async function dropApplication(state: State): Promise<void> {
  await state.membership.update((held) => {
    if (held?.bundle === undefined) return held ?? NOTHING
    const { application: _refused, ...rest } = held
    return rest
  })
}

interface Wish {
  readonly identity: Identity
  readonly name: NodeName
  readonly tags: readonly Tag[]
  readonly attempt: number
}

function apply(network: Network, inviteBytes: Uint8Array, inviteKey: SigningKey, wish: Wish): Application {
  const { nodeKey, wireguardKeys } = wish.identity
  const v4 = ipv4Of(network.ipv4Prefix, nodeKey.nodeId, wish.attempt)
  const options = { wireguardKey: wireguardKeys.publicKey, name: wish.name, tags: wish.tags, v4 }
  const invite = openInvite(network, inviteBytes).body
  const certificate = signCertificate(network, invite, options, { invite: inviteKey, node: nodeKey })
  return { bundle: { certificate: certificate.bytes, invite: inviteBytes }, inviteKey, attempt: wish.attempt }
}

async function acceptRelay(state: State, ticket: RelayTicket, held: OwnMembership | undefined): Promise<void> {
  const { nodeKey, wireguardKeys, bundle, waysIn, minRevocationSeq, url } = ticket
  const identity = await state.identity.read()
  if (identity !== undefined && identity.nodeKey.nodeId !== nodeKey.nodeId) {
    throw new RopewalkError('state-foreign', `${state.folder} holds another key than the relay’s ticket`, {
      hint: 'choose an empty folder with --state',
    })
  }
  await state.identity.update((before) => before ?? { nodeKey, wireguardKeys })
  await state.membership.update(() => ({ ...held, bundle, waysIn, minRevocationSeq, relayUrl: url }))
}

async function checkNetwork(state: State, network: Network): Promise<void> {
  const statement = await state.network.read()
  if (statement !== undefined && Buffer.compare(statement, network.bytes) !== 0) {
    throw new RopewalkError('wrong-network', `${state.folder} belongs to another network than the ticket`, {
      hint: 'choose another folder with --state',
    })
  }
}
