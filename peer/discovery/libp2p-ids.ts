import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { Ed25519PrivateKey, PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { type NodeId, parseNodeId, type SigningKey } from '@ropewalk/shared/identity'

/** A node key as libp2p wants it. */
export async function toPrivateKey(key: SigningKey): Promise<Ed25519PrivateKey> {
  return await generateKeyPairFromSeed('Ed25519', key.exportSeed())
}

/** A node id as libp2p wants it. */
export function toPeerId(id: NodeId): PeerId {
  return peerIdFromString(id)
}

/** A libp2p peer as a node id. @throws RopewalkError `bad-input` for a peer whose key is not Ed25519 */
export function toNodeId(peer: PeerId): NodeId {
  return parseNodeId(peer.toString())
}

/** Texts as multiaddrs that end in the node's id, so that nobody else can answer there. What is none of ours is left out. */
export function toMultiaddrs(addresses: readonly string[], id: NodeId): Multiaddr[] {
  return addresses.flatMap((text) => {
    try {
      const address = multiaddr(text)
      const named = address.getComponents().findLast((part) => part.name === 'p2p')?.value
      if (named === undefined) return [address.encapsulate(`/p2p/${id}`)]
      return named === id ? [address] : []
    } catch {
      return [] // a member may write anything into its record
    }
  })
}
