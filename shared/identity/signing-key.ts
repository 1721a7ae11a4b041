import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import { RopewalkError } from '@ropewalk/shared/errors'
import { KEY_BYTES, type NodeId, nodeIdOf } from './node-id.ts'

/** Length in bytes of an Ed25519 signature. */
export const SIGNATURE_BYTES = 64

// RFC 8410: the DER around a raw Ed25519 key
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

/** An Ed25519 key pair: of a node, a network's root or an invite. Its secret shows in no log and no JSON. */
export interface SigningKey {
  /** Raw public key, 32 bytes. */
  readonly publicKey: Uint8Array
  /** The public key as a node id. */
  readonly nodeId: NodeId
  /** Ed25519 over `context ‖ message`; `context` ends in a zero byte and names the purpose. 64 bytes. */
  sign(context: string, message: Uint8Array): Uint8Array
  /** The private seed, 32 bytes: for the state folder and tickets only. */
  exportSeed(): Uint8Array
  /** For X.509 of the inner TLS; never exported by us otherwise. */
  readonly keyObject: KeyObject
}

/** A fresh Ed25519 key. */
export function generateSigningKey(): SigningKey {
  return new Ed25519Key(generateKeyPairSync('ed25519').privateKey)
}

/** The key of a seed of 32 bytes. @throws RopewalkError `bad-input` for another length */
export function signingKeyFromSeed(seed: Uint8Array): SigningKey {
  if (seed.length !== KEY_BYTES) throw new RopewalkError('bad-input', 'A key seed has 32 bytes')
  return new Ed25519Key(createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' }))
}

/** Whether `signature` is by `publicKey` over `context ‖ message`. False, never a throw, for malformed keys. */
export function verifySignature(
  publicKey: Uint8Array,
  context: string,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (publicKey.length !== KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false
  try {
    return verify(null, withContext(context, message), publicKeyObject(publicKey), signature)
  } catch {
    return false // not a point of the curve
  }
}

/** The KeyObject of a raw Ed25519 public key. @throws when it has not 32 bytes */
export function publicKeyObject(publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI, publicKey]), format: 'der', type: 'spki' })
}

class Ed25519Key implements SigningKey {
  readonly publicKey: Uint8Array
  readonly nodeId: NodeId
  readonly #private: KeyObject

  constructor(privateKey: KeyObject) {
    this.#private = privateKey
    const der = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
    this.publicKey = new Uint8Array(der.subarray(SPKI.length))
    this.nodeId = nodeIdOf(this.publicKey)
  }

  get keyObject(): KeyObject {
    return this.#private
  }

  sign(context: string, message: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, withContext(context, message), this.#private))
  }

  exportSeed(): Uint8Array {
    return new Uint8Array(this.#private.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8.length))
  }

  toJSON(): { nodeId: NodeId } {
    return { nodeId: this.nodeId }
  }
}

function withContext(context: string, message: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(context, 'utf8'), message])
}
