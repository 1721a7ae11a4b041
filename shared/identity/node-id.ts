import { RopewalkError } from '@ropewalk/shared/errors'
import { fromBase58, toBase58 } from './base58.ts'
import type { Brand } from './brand.ts'
import { equalBytes } from './bytes.ts'

/** A node's id: the libp2p PeerId of its Ed25519 key as text, `12D3Koo…`. The key is inside it. */
export type NodeId = Brand<string, 'NodeId'>

/** Length in bytes of a raw Ed25519 or X25519 public key, and of their private seeds. */
export const KEY_BYTES = 32

// multihash: identity (0x00), 36 bytes of libp2p PublicKey protobuf: type Ed25519 (08 01), 32 bytes of data (12 20)
const PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20)
const NODE_ID_LENGTH = 52

/** The node id of a raw Ed25519 public key of 32 bytes. @throws RopewalkError `bad-input` for another length */
export function nodeIdOf(publicKey: Uint8Array): NodeId {
  if (publicKey.length !== KEY_BYTES) throw new RopewalkError('bad-input', 'A node key has 32 bytes')
  const bytes = new Uint8Array(PREFIX.length + KEY_BYTES)
  bytes.set(PREFIX)
  bytes.set(publicKey, PREFIX.length)
  return toBase58(bytes) as NodeId
}

/** A node id out of text. @throws RopewalkError `bad-input` unless it is the PeerId of an Ed25519 key */
export function parseNodeId(text: string): NodeId {
  publicKeyBytes(text)
  return text as NodeId
}

/** Whether a text is a node id. */
export function isNodeId(text: string): text is NodeId {
  return decode(text) !== undefined
}

/** The raw Ed25519 public key inside a node id, 32 bytes. */
export function publicKeyOf(nodeId: NodeId): Uint8Array {
  return publicKeyBytes(nodeId)
}

function publicKeyBytes(text: string): Uint8Array {
  const key = decode(text)
  if (key === undefined) {
    throw new RopewalkError('bad-input', 'That is not a node id', { hint: 'a node id begins with 12D3Koo' })
  }
  return key
}

function decode(text: string): Uint8Array | undefined {
  if (text.length !== NODE_ID_LENGTH) return undefined
  const bytes = fromBase58(text)
  if (bytes?.length !== PREFIX.length + KEY_BYTES) return undefined
  return equalBytes(bytes.subarray(0, PREFIX.length), PREFIX) ? bytes.subarray(PREFIX.length) : undefined
}
