import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import { bytes, decodeWith, encodeWith, field, nodeId, struct, type TypeOf, uint } from '@ropewalk/shared/codec'
import { RopewalkError } from '@ropewalk/shared/errors'
import {
  generateWireguardKeys,
  KEY_BYTES,
  type NodeId,
  publicKeyOf,
  type SigningKey,
  type WireguardKey,
  type WireguardKeys,
  wireguardKeyBytes,
} from '@ropewalk/shared/identity'
import { type Statement, statementKind } from '@ropewalk/shared/statement'

/** Most bytes inside an envelope. */
export const MAX_ENVELOPE_CONTENT_BYTES = 4_096

/** Most bytes of an envelope on the wire. */
export const MAX_ENVELOPE_BYTES = MAX_ENVELOPE_CONTENT_BYTES + 1_024

/** Most neighbours that pass an envelope on. */
export const MAX_HOPS = 3

/** An envelope counts this long after it was sealed, in ms (clock tolerance included). */
export const ENVELOPE_LIFETIME_MS = 11 * 60_000

const TAG_BYTES = 16
const ZERO_NONCE = new Uint8Array(12) // each key is used once: the ephemeral key is fresh

const sealed = struct({
  from: field(1, nodeId),
  to: field(2, nodeId),
  atMs: field(3, uint()),
  ephemeral: field(4, bytes(KEY_BYTES)),
  content: field(5, bytes(TAG_BYTES, MAX_ENVELOPE_CONTENT_BYTES + TAG_BYTES)),
})

const kind = statementKind<TypeOf<typeof sealed>>({ kind: 'envelope', codec: sealed, maxBytes: MAX_ENVELOPE_BYTES })

const outer = struct({ hopsLeft: field(1, uint(MAX_HOPS)), statement: field(2, bytes(1, MAX_ENVELOPE_BYTES)) })

/** A message that common neighbours carry: they see who and to whom, not what; nobody can forge or change it. */
export interface Envelope {
  readonly from: NodeId
  readonly to: NodeId
  readonly atMs: number
  /** How many more neighbours may pass it on. */
  readonly hopsLeft: number
  readonly statement: Statement<TypeOf<typeof sealed>>
}

/** What an envelope is made of. */
export interface EnvelopeOptions {
  readonly from: SigningKey
  readonly to: { readonly nodeId: NodeId; readonly wireguardKey: WireguardKey }
  readonly content: Uint8Array
  readonly nowMs: number
}

/** Seals content for a member's WireGuard key and signs it with the sender's node key. @throws RopewalkError `too-large` */
export function sealEnvelope({ from, to, content, nowMs }: EnvelopeOptions): Envelope {
  if (content.length > MAX_ENVELOPE_CONTENT_BYTES) throw new RopewalkError('too-large', 'The envelope is too full')
  const ephemeral = generateWireguardKeys()
  const head = { from: from.nodeId, to: to.nodeId, atMs: nowMs, ephemeral: wireguardKeyBytes(ephemeral.publicKey) }
  const secret = ephemeral.agree(wireguardKeyBytes(to.wireguardKey))
  const cipher = createCipheriv('chacha20-poly1305', keyOf(secret, head), ZERO_NONCE, { authTagLength: TAG_BYTES })
  const encrypted = Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()])
  const statement = kind.sign({ ...head, content: encrypted }, from)
  return { from: from.nodeId, to: to.nodeId, atMs: nowMs, hopsLeft: MAX_HOPS, statement }
}

/** An envelope as bytes. */
export function encodeEnvelope(envelope: Pick<Envelope, 'hopsLeft' | 'statement'>): Uint8Array {
  return encodeWith(outer, { hopsLeft: envelope.hopsLeft, statement: envelope.statement.bytes })
}

/** An envelope out of bytes, its sender's signature checked. @throws RopewalkError `bad-input`, `bad-statement`, `bad-signature`, `too-large` */
export function decodeEnvelope(raw: Uint8Array): Envelope {
  const { hopsLeft, statement: inner } = decodeWith(outer, raw, MAX_ENVELOPE_BYTES + 64)
  const statement = kind.open(inner, (read) => [publicKeyOf(read.from)])
  const { from, to, atMs } = statement.body
  return { from, to, atMs, hopsLeft, statement }
}

/**
 * What is inside an envelope for us. Whether its sender is a member is the caller's question, and so is a repeated one.
 * @throws RopewalkError `wrong-key` for another's envelope, `clock-skew` for one out of its time, `bad-input`
 */
export function openEnvelope(
  envelope: Envelope,
  self: { nodeId: NodeId; keys: WireguardKeys },
  nowMs: number,
): Uint8Array {
  const { body } = envelope.statement
  if (body.to !== self.nodeId) throw new RopewalkError('wrong-key', 'The envelope is for another node')
  if (Math.abs(nowMs - body.atMs) > ENVELOPE_LIFETIME_MS) {
    throw new RopewalkError('clock-skew', 'The envelope is out of its time')
  }
  const secret = self.keys.agree(body.ephemeral)
  const encrypted = body.content.subarray(0, body.content.length - TAG_BYTES)
  const decipher = createDecipheriv('chacha20-poly1305', keyOf(secret, body), ZERO_NONCE, { authTagLength: TAG_BYTES })
  decipher.setAuthTag(body.content.subarray(body.content.length - TAG_BYTES))
  try {
    return new Uint8Array(Buffer.concat([decipher.update(encrypted), decipher.final()]))
  } catch (cause) {
    throw new RopewalkError('bad-input', 'The envelope cannot be opened with our key', { cause })
  }
}

function keyOf(secret: Uint8Array, head: { from: NodeId; to: NodeId; ephemeral: Uint8Array }): Uint8Array {
  const salt = Buffer.concat([publicKeyOf(head.from), publicKeyOf(head.to), head.ephemeral])
  return new Uint8Array(hkdfSync('sha256', secret, salt, 'ropewalk/envelope/1', KEY_BYTES))
}
