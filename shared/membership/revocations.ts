import { field, list, networkId, nodeId, struct, type TypeOf, tuple, uint } from '@ropewalk/shared/codec'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId, SigningKey } from '@ropewalk/shared/identity'
import { type Statement, statementHash, statementKind } from '@ropewalk/shared/statement'
import { MAX_MEMBERS } from './limits.ts'
import { checkSameNetwork, type Network } from './network.ts'
import { type InviteId, inviteId, time } from './terms.ts'

/** Most bytes of a revocations statement. */
export const MAX_REVOCATIONS_BYTES = 512 * 1_024

const body = struct({
  network: field(1, networkId),
  seq: field(2, uint(undefined, 1)),
  issuedAtMs: field(3, time),
  nodes: field(4, list(tuple(nodeId, time), MAX_MEMBERS)),
  invites: field(5, list(tuple(inviteId, time), MAX_MEMBERS)),
  tokens: field(6, list(tuple(inviteId, time), MAX_MEMBERS)),
})

const kind = statementKind<TypeOf<typeof body>>({ kind: 'revocations', codec: body, maxBytes: MAX_REVOCATIONS_BYTES })

/** The whole list of what is revoked; of two lists the one with the higher seq counts. */
export interface Revocations {
  readonly seq: number
  readonly issuedAtMs: number
  /** Revoked node keys, and since when. */
  readonly nodes: ReadonlyMap<NodeId, number>
  /** Revoked invites, and since when: whoever was admitted by one before stays. */
  readonly invites: ReadonlyMap<InviteId, number>
  /** Revoked API tokens. */
  readonly tokens: ReadonlyMap<InviteId, number>
  /** SHA-256 of the statement, 32 bytes. */
  readonly hash: Uint8Array
  /** The signed statement. */
  readonly bytes: Uint8Array
}

/** What is added to the list. */
export interface NewRevocations {
  readonly nodes?: readonly NodeId[]
  readonly invites?: readonly InviteId[]
  readonly tokens?: readonly InviteId[]
  readonly nowMs: number
}

/** Signs the next list: the previous one and what is added. */
export function signRevocations(
  network: Network,
  previous: Revocations | undefined,
  added: NewRevocations,
  root: SigningKey,
): Revocations {
  const merged = <K extends string>(held: ReadonlyMap<K, number> | undefined, more: readonly K[] = []) => {
    const all = new Map(more.map((id) => [id, added.nowMs] as const))
    for (const [id, atMs] of held ?? []) all.set(id, atMs)
    return [...all].sort(([x], [y]) => (x < y ? -1 : 1))
  }
  return read(
    kind.sign(
      {
        network: network.id,
        seq: (previous?.seq ?? 0) + 1,
        issuedAtMs: added.nowMs,
        nodes: merged(previous?.nodes, added.nodes),
        invites: merged(previous?.invites, added.invites),
        tokens: merged(previous?.tokens, added.tokens),
      },
      root,
    ),
  )
}

/** Opens a list of this network. @throws RopewalkError `bad-statement`, `bad-signature`, `wrong-network`, `too-large` */
export function openRevocations(network: Network, raw: Uint8Array): Revocations {
  checkSameNetwork(network, kind.peek(raw).network, 'revocation list')
  return read(kind.open(raw, [network.rootKey]))
}

/** The list that counts of two. @throws RopewalkError `stale-statement` when the new one is older than the known one */
export function newerRevocations(known: Revocations | undefined, offered: Revocations): Revocations {
  if (known !== undefined && offered.seq < known.seq) {
    throw new RopewalkError(
      'stale-statement',
      `Revocation list ${offered.seq} is older than ${known.seq}, which is known`,
    )
  }
  return known?.seq === offered.seq ? known : offered
}

function read(statement: Statement<TypeOf<typeof body>>): Revocations {
  const { seq, issuedAtMs, nodes, invites, tokens } = statement.body
  return {
    seq,
    issuedAtMs,
    nodes: new Map(nodes),
    invites: new Map(invites),
    tokens: new Map(tokens),
    hash: statementHash(statement),
    bytes: statement.bytes,
  }
}
