import { bytes, type Codec, field, list, mapped, maybe, struct, type TypeOf, text, uint } from '@ropewalk/shared/codec'
import { isRopewalkError, RopewalkError } from '@ropewalk/shared/errors'
import {
  KEY_BYTES,
  type SigningKey,
  signingKeyFromSeed,
  type WireguardKeys,
  wireguardKeysFromPrivate,
} from '@ropewalk/shared/identity'
import { type Statement, statementKind } from '@ropewalk/shared/statement'
import { type Bundle, decodeBundle, encodeBundle } from './bundle.ts'
import { type Invite, openInvite } from './invite.ts'
import { CLOCK_TOLERANCE_MS, MAX_BUNDLE_BYTES } from './limits.ts'
import { type Network, openNetwork } from './network.ts'
import { verifyMember } from './verification.ts'
import { formatWayIn, parseRelayUrl, parseWayIn, type WayIn } from './way-in.ts'

/** How every ticket begins. */
export const TICKET_PREFIX = 'ropewalk1:'

/** Most ways in that a ticket names. */
export const MAX_WAYS = 8

const MAX_TICKET_BYTES = 8_192

// whoever makes a ticket may write a way in loosely; on the wire it has one form
const wayIn: Codec<WayIn> = mapped(text(300), parseWayIn, (way) => formatWayIn(parseWayIn(formatWayIn(way))))
const relayUrl: Codec<string> = mapped(text(300), parseRelayUrl, parseRelayUrl)

const relay = struct({
  wireguardKey: field(1, bytes(KEY_BYTES)),
  bundle: field(2, bytes(1, MAX_BUNDLE_BYTES)),
  url: field(3, relayUrl),
})

const body = struct({
  network: field(1, bytes(1, 512)),
  invite: field(2, bytes(1, 1_024)),
  /** Seed of the invite's key, or of the relay's node key. It signs the ticket, so a changed ticket is found out. */
  seed: field(3, bytes(KEY_BYTES)),
  waysIn: field(4, list(wayIn, MAX_WAYS)),
  minRevocationSeq: field(5, uint()),
  relay: maybe(6, relay),
})

const kind = statementKind<TypeOf<typeof body>>({ kind: 'ticket', codec: body, maxBytes: MAX_TICKET_BYTES })

interface Common {
  readonly network: Network
  readonly invite: Statement<Invite>
  readonly waysIn: readonly WayIn[]
  /** A revocation list with a lower seq is out of date for its bearer. */
  readonly minRevocationSeq: number
}

/** A ticket for a node that makes its own keys and asks an admitter. */
export interface MemberTicket extends Common {
  readonly kind: 'member'
  readonly inviteKey: SigningKey
}

/** A relay's ticket: its keys are in it and admitted already. */
export interface RelayTicket extends Common {
  readonly kind: 'relay'
  readonly nodeKey: SigningKey
  readonly wireguardKeys: WireguardKeys
  readonly bundle: Bundle
  /** The public URL it will be found under, `https://host:443/`. */
  readonly url: string
}

/** What a ticket's bearer may do. Whoever holds it can use it: keep it like a private key. */
export type Ticket = MemberTicket | RelayTicket

/** A ticket as one pasteable string. @throws RopewalkError `too-large` */
export function formatTicket(ticket: Ticket): string {
  const key = ticket.kind === 'member' ? ticket.inviteKey : ticket.nodeKey
  const statement = kind.sign(
    {
      network: ticket.network.bytes,
      invite: ticket.invite.bytes,
      seed: key.exportSeed(),
      waysIn: ticket.waysIn,
      minRevocationSeq: ticket.minRevocationSeq,
      relay:
        ticket.kind === 'member'
          ? undefined
          : {
              wireguardKey: ticket.wireguardKeys.exportPrivateKey(),
              bundle: encodeBundle(ticket.bundle),
              url: ticket.url,
            },
    },
    key,
  )
  return TICKET_PREFIX + Buffer.from(statement.bytes).toString('base64url')
}

/**
 * Reads and verifies a ticket. Spaces and line breaks around and inside it do not matter. With `nowMs` (wall clock) it
 * must also be in its time. @throws RopewalkError `bad-ticket`, `bad-signature`, `wrong-network`, `ticket-expired`,
 * and for a relay's ticket as `verifyMember`
 */
export function parseTicket(input: string, nowMs?: number): Ticket {
  try {
    return open(unwrap(input), nowMs)
  } catch (error) {
    if (isRopewalkError(error) && ['bad-input', 'bad-statement', 'too-large'].includes(error.code)) {
      throw badTicket(error)
    }
    throw error
  }
}

function unwrap(input: string): Uint8Array {
  if (input.length > 2 * MAX_TICKET_BYTES) throw badTicket()
  const compact = input.replace(/\s+/g, '')
  if (!compact.startsWith(TICKET_PREFIX)) throw badTicket()
  const encoded = compact.slice(TICKET_PREFIX.length)
  const raw = Buffer.from(encoded, 'base64url')
  if (raw.toString('base64url') !== encoded) throw badTicket()
  return new Uint8Array(raw)
}

function open(raw: Uint8Array, nowMs: number | undefined): Ticket {
  const { body: read } = kind.open(raw, ({ seed }) => [signingKeyFromSeed(seed).publicKey])
  const network = openNetwork(read.network)
  const invite = openInvite(network, read.invite)
  if (nowMs !== undefined) checkTime(invite.body, nowMs)
  const key = signingKeyFromSeed(read.seed)
  const common = { network, invite, waysIn: read.waysIn, minRevocationSeq: read.minRevocationSeq }
  if (read.relay !== undefined) return openRelay(common, key, read.relay, nowMs)
  if (Buffer.compare(key.publicKey, invite.body.key) !== 0) {
    throw new RopewalkError('bad-signature', 'The key in the ticket is not that of its invite')
  }
  return { ...common, kind: 'member', inviteKey: key }
}

function openRelay(common: Common, nodeKey: SigningKey, part: TypeOf<typeof relay>, nowMs?: number): RelayTicket {
  const bundle = decodeBundle(part.bundle)
  const view = { network: common.network, nowMs: nowMs ?? common.invite.body.notBeforeMs, mayAdmit: () => false }
  const member = verifyMember(bundle, view, nodeKey.nodeId)
  const wireguardKeys = wireguardKeysFromPrivate(part.wireguardKey)
  if (wireguardKeys.publicKey !== member.wireguardKey) {
    throw new RopewalkError('bad-ticket', 'The parts of the relay’s ticket do not fit together')
  }
  return { ...common, kind: 'relay', nodeKey, wireguardKeys, bundle, url: part.url }
}

function checkTime(invite: Invite, nowMs: number): void {
  if (nowMs > invite.notAfterMs + CLOCK_TOLERANCE_MS) {
    throw new RopewalkError('ticket-expired', 'The ticket is past its time', {
      hint: 'ask for another one: ropewalk invite',
    })
  }
  if (nowMs < invite.notBeforeMs - CLOCK_TOLERANCE_MS) {
    throw new RopewalkError('clock-skew', 'The ticket is not valid yet', { hint: 'check the clock of this machine' })
  }
}

function badTicket(cause?: unknown): RopewalkError {
  return new RopewalkError('bad-ticket', 'That is not a ticket, or a part of it is missing', {
    hint: `paste the whole line that ropewalk invite printed; it begins with ${TICKET_PREFIX}`,
    cause,
  })
}
