import { bytes, field, maybe, name, networkId, struct, type TypeOf, uint } from '@ropewalk/shared/codec'
import { KEY_BYTES, type NodeName, type SigningKey, type Tag } from '@ropewalk/shared/identity'
import { type Statement, statementKind } from '@ropewalk/shared/statement'
import { MAX_MEMBERS } from './limits.ts'
import { checkSameNetwork, type Network } from './network.ts'
import { type InviteId, inviteId, type Right, rights, tags, time } from './terms.ts'

const body = struct({
  network: field(1, networkId),
  id: field(2, inviteId),
  /** Public half of the invite's own key; the ticket carries the secret half. */
  key: field(3, bytes(KEY_BYTES)),
  /** Tags a certificate made from it may carry. */
  tags: field(4, tags),
  /** The one name a certificate may carry, if the inviter fixed it. */
  name: maybe(5, name),
  rights: field(6, rights),
  uses: field(7, uint(MAX_MEMBERS, 1)),
  notBeforeMs: field(8, time),
  notAfterMs: field(9, time),
})

/** The right to make a certificate, given by the root: who holds the invite's key may join, as often as it says. */
export type Invite = TypeOf<typeof body>

const kind = statementKind<Invite>({ kind: 'invite', codec: body, maxBytes: 1_024 })

/** What a new invite says. */
export interface InviteOptions {
  readonly id: InviteId
  /** Public key of the invite, 32 bytes. */
  readonly key: Uint8Array
  readonly tags: readonly Tag[]
  readonly name?: NodeName | undefined
  readonly rights: readonly Right[]
  readonly uses: number
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/** Signs an invite with the network's root. @throws RopewalkError `bad-statement` for what nobody would accept */
export function signInvite(network: Network, options: InviteOptions, root: SigningKey): Statement<Invite> {
  return kind.sign({ ...options, network: network.id }, root)
}

/** Opens an invite of this network. @throws RopewalkError `bad-statement`, `bad-signature`, `wrong-network`, `too-large` */
export function openInvite(network: Network, raw: Uint8Array): Statement<Invite> {
  checkSameNetwork(network, kind.peek(raw).network, 'invite')
  return kind.open(raw, [network.rootKey])
}

/** Reads an invite without checking anything; for look-ups before the check. */
export function peekInvite(raw: Uint8Array): Invite {
  return kind.peek(raw)
}
