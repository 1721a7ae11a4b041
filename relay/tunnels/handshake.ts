import { randomBytes } from 'node:crypto'
import type { Channel } from '@ropewalk/peer/tunnels'
import { RopewalkError } from '@ropewalk/shared/errors'
import { publicKeyOf, type SigningKey } from '@ropewalk/shared/identity'
import {
  NONCE_BYTES,
  SESSION_BYTES,
  signProof,
  TUNNEL_VERSION,
  type TunnelMember,
  type TunnelMembers,
  verifyProof,
} from '@ropewalk/shared/tunnel'

/** Who holds the other end of a control stream, proven. */
export interface Proven {
  readonly role: 'agent' | 'visitor'
  readonly member: TunnelMember
  /** What was shown: whom our store does not know is verified by it again. */
  readonly bundle: Uint8Array
  readonly session: Uint8Array
  readonly dataKey: Uint8Array
}

/** What the relay proves itself with. */
export interface HandshakeDependencies {
  readonly key: SigningKey
  readonly members: TunnelMembers
  readonly maxStreams: number
}

/**
 * The relay's part of the mutual proof: its own first, then the client's bundle and signature.
 * @throws RopewalkError `version-mismatch`, `proof-failed`, `revoked`, the bundle's fault, `timeout`, `protocol-error`
 */
export async function proveClient(
  channel: Channel,
  exporter: Uint8Array,
  { key, members, maxStreams, signal }: HandshakeDependencies & { readonly signal: AbortSignal },
): Promise<Proven> {
  const { role, nonce: clientNonce, version } = await channel.next('hello', signal)
  if (version !== TUNNEL_VERSION) throw new RopewalkError('version-mismatch')
  const relayNonce = new Uint8Array(randomBytes(NONCE_BYTES))
  const input = { clientNonce, relayNonce, exporter }
  const signature = signProof(key, { role: 'relay', ...input })
  channel.send({ kind: 'challenge', nonce: relayNonce, bundle: members.bundle(), signature })
  const proof = await channel.next('prove', signal)
  const member = await members.accept(proof.bundle)
  if (!verifyProof(publicKeyOf(member.nodeId), { role, ...input }, proof.signature)) {
    throw new RopewalkError('proof-failed', 'The certificate’s key did not sign')
  }
  if (member.revoked) throw new RopewalkError('revoked', `${member.name} is revoked`)
  const session = new Uint8Array(randomBytes(SESSION_BYTES))
  const dataKey = new Uint8Array(randomBytes(NONCE_BYTES))
  channel.send({ kind: 'welcome', session, dataKey, maxStreams })
  return { role, member, bundle: proof.bundle, session, dataKey }
}
