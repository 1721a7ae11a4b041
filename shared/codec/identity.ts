import {
  KEY_BYTES,
  type NetworkId,
  type NodeId,
  type NodeName,
  networkIdBytes,
  networkIdOf,
  nodeIdOf,
  parseName,
  parseTag,
  publicKeyOf,
  type Tag,
  type WireguardKey,
  wireguardKeyBytes,
  wireguardKeyOf,
} from '@ropewalk/shared/identity'
import type { Codec } from './codec.ts'
import { bytes, mapped, text } from './types.ts'

/** A node id, as the 32 bytes of its key. */
export const nodeId: Codec<NodeId> = mapped(bytes(KEY_BYTES), nodeIdOf, publicKeyOf)

/** A WireGuard public key, as its 32 bytes. */
export const wireguardKey: Codec<WireguardKey> = mapped(bytes(KEY_BYTES), wireguardKeyOf, wireguardKeyBytes)

/** A network id, as its 32 bytes. */
export const networkId: Codec<NetworkId> = mapped(bytes(32), networkIdOf, networkIdBytes)

/** A member's or network's name. */
export const name: Codec<NodeName> = mapped(text(63), parseName, String)

/** A tag. */
export const tag: Codec<Tag> = mapped(text(63), parseTag, String)
