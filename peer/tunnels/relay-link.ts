import { randomBytes } from 'node:crypto'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { publicKeyOf, type SigningKey } from '@ropewalk/shared/identity'
import {
  NONCE_BYTES,
  type RelayAddress,
  signProof,
  streamIdOf,
  TUNNEL_VERSION,
  type TunnelMembers,
  verifyProof,
} from '@ropewalk/shared/tunnel'
import { type Channel, createChannel, type Heartbeat } from './channel.ts'
import { upgrade } from './upgrade.ts'

/** How long dialling a relay and proving to each other may take. */
export const LINK_TIMEOUT_MS = 10_000

/** What a control stream is made with. */
export interface LinkOptions {
  readonly relay: RelayAddress
  readonly role: 'agent' | 'visitor'
  readonly signal: AbortSignal
  readonly heartbeat?: Heartbeat | undefined
}

/** What it needs of the peer. */
export interface LinkDependencies {
  readonly key: SigningKey
  readonly members: TunnelMembers
}

/** A control stream to a relay, both keys proven. */
export interface RelayLink {
  readonly relay: RelayAddress
  readonly channel: Channel
  /** What data connections of this link sign their hello with. */
  readonly dataKey: Uint8Array
  /** Most streams the relay carries for us at once. */
  readonly maxStreams: number
  /** A stream id that was not used before. */
  nextStream(): Uint8Array
}

/**
 * Dials a relay and proves keys both ways: the relay first, so that a false one learns nothing about us.
 * @throws RopewalkError `unreachable`, `timeout`, `proof-failed`, `wrong-key`, `revoked`, or the relay's refusal
 */
export async function dialRelay(options: LinkOptions, { key, members }: LinkDependencies): Promise<RelayLink> {
  const { relay, role } = options
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(LINK_TIMEOUT_MS)])
  const { socket, head, exporter } = await upgrade(relay, signal)
  const channel = createChannel(socket, head, options.heartbeat)
  try {
    const clientNonce = new Uint8Array(randomBytes(NONCE_BYTES))
    channel.send({ kind: 'hello', version: TUNNEL_VERSION, role, nonce: clientNonce })
    const challenge = await channel.next('challenge', signal)
    const input = { clientNonce, relayNonce: challenge.nonce, exporter }
    if (!verifyProof(publicKeyOf(relay.nodeId), { role: 'relay', ...input }, challenge.signature)) {
      throw new RopewalkError('wrong-key', `${relay.url} is not the relay that its URL names`)
    }
    const member = await members.accept(challenge.bundle)
    if (member.nodeId !== relay.nodeId) throw new RopewalkError('wrong-key', 'The relay showed another’s certificate')
    if (member.revoked) throw new RopewalkError('revoked', `The relay ${member.name} is revoked`)
    channel.send({ kind: 'prove', bundle: members.bundle(), signature: signProof(key, { role, ...input }) })
    const welcome = await channel.next('welcome', signal)
    let streams = 0
    return {
      relay,
      channel,
      dataKey: welcome.dataKey,
      maxStreams: welcome.maxStreams,
      nextStream: () => streamIdOf(welcome.session, streams++),
    }
  } catch (error) {
    const reason = toRopewalkError(error)
    channel.close(reason)
    throw reason
  }
}

/** A stream id as a map key and as people see it. */
export function streamText(stream: Uint8Array): string {
  return Buffer.from(stream).toString('hex')
}
