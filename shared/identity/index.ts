export { fromBase32, toBase32 } from './base32.ts'
export type { Brand } from './brand.ts'
export { compareBytes, equalBytes, hash, toHex } from './bytes.ts'
export { isLabel, MAX_TAGS, type NodeName, parseName, parseTag, type Tag } from './name.ts'
export { type NetworkId, networkIdBytes, networkIdOf, parseNetworkId } from './network-id.ts'
export { isNodeId, KEY_BYTES, type NodeId, nodeIdOf, parseNodeId, publicKeyOf } from './node-id.ts'
export {
  generateSigningKey,
  publicKeyObject,
  SIGNATURE_BYTES,
  type SigningKey,
  signingKeyFromSeed,
  verifySignature,
} from './signing-key.ts'
export {
  generateWireguardKeys,
  parseWireguardKey,
  type WireguardKey,
  type WireguardKeys,
  wireguardKeyBytes,
  wireguardKeyOf,
  wireguardKeysFromPrivate,
} from './wireguard-key.ts'
