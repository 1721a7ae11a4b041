import type { ConnectionGater, PeerId } from '@libp2p/interface'
import type { NodeId } from '@ropewalk/shared/identity'
import type { Registry } from './registry.ts'

/**
 * The second line behind the handshake: whoever is not a verified member at this moment gets no connection. It also
 * covers what the handshake cannot: a node that was revoked between two checks, and dials of ours.
 */
export function createGate(registry: Registry): ConnectionGater {
  const isMember = (peer: PeerId): boolean => registry.get(peer.toString() as NodeId) !== undefined
  const isRevoked = (peer: PeerId): boolean => registry.revocations?.nodes.has(peer.toString() as NodeId) === true
  return {
    denyDialPeer: isRevoked,
    denyDialMultiaddr: () => false,
    denyInboundEncryptedConnection: (peer) => isRevoked(peer) || !isMember(peer),
    denyOutboundEncryptedConnection: (peer) => isRevoked(peer) || !isMember(peer),
    denyInboundRelayReservation: () => true,
    denyInboundRelayedConnection: () => true,
    denyOutboundRelayedConnection: () => true,
    filterMultiaddrForPeer: () => true,
  }
}
