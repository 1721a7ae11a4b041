import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { Brand } from './brand.ts'
import { KEY_BYTES } from './node-id.ts'

/** A WireGuard public key as its usual base64 text, 44 letters. */
export type WireguardKey = Brand<string, 'WireguardKey'>

// RFC 8410: the DER around a raw X25519 key
const SPKI = Buffer.from('302a300506032b656e032100', 'hex')
const PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex')

/** An X25519 key pair for WireGuard. Its secret shows in no log and no JSON. */
export interface WireguardKeys {
  readonly publicKey: WireguardKey
  /** The private key, 32 bytes: for the engine and the state folder only. */
  exportPrivateKey(): Uint8Array
  /** X25519 with another's public key, 32 bytes. @throws RopewalkError `bad-input` for a key of low order */
  agree(publicKey: Uint8Array): Uint8Array
}

/** A fresh WireGuard key pair. */
export function generateWireguardKeys(): WireguardKeys {
  return new X25519Keys(generateKeyPairSync('x25519').privateKey)
}

/** The pair of a private key of 32 bytes. @throws RopewalkError `bad-input` for another length */
export function wireguardKeysFromPrivate(privateKey: Uint8Array): WireguardKeys {
  if (privateKey.length !== KEY_BYTES) throw new RopewalkError('bad-input', 'A WireGuard key has 32 bytes')
  return new X25519Keys(createPrivateKey({ key: Buffer.concat([PKCS8, privateKey]), format: 'der', type: 'pkcs8' }))
}

/** A raw public key as text. @throws RopewalkError `bad-input` unless it has 32 bytes and is not zero */
export function wireguardKeyOf(publicKey: Uint8Array): WireguardKey {
  if (publicKey.length !== KEY_BYTES || publicKey.every((byte) => byte === 0)) {
    throw new RopewalkError('bad-input', 'That is not a WireGuard key')
  }
  return Buffer.from(publicKey).toString('base64') as WireguardKey
}

/** A WireGuard public key out of base64 text. @throws RopewalkError `bad-input` */
export function parseWireguardKey(text: string): WireguardKey {
  const bytes = Buffer.from(text, 'base64')
  if (text.length !== 44 || bytes.toString('base64') !== text) {
    throw new RopewalkError('bad-input', 'That is not a WireGuard key')
  }
  return wireguardKeyOf(bytes)
}

/** The 32 bytes behind a WireGuard public key. */
export function wireguardKeyBytes(key: WireguardKey): Uint8Array {
  return new Uint8Array(Buffer.from(key, 'base64'))
}

class X25519Keys implements WireguardKeys {
  readonly publicKey: WireguardKey
  readonly #private: KeyObject

  constructor(privateKey: KeyObject) {
    this.#private = privateKey
    const der = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
    this.publicKey = wireguardKeyOf(der.subarray(SPKI.length))
  }

  exportPrivateKey(): Uint8Array {
    return new Uint8Array(this.#private.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8.length))
  }

  agree(publicKey: Uint8Array): Uint8Array {
    try {
      const theirs = createPublicKey({ key: Buffer.concat([SPKI, publicKey]), format: 'der', type: 'spki' })
      return new Uint8Array(diffieHellman({ privateKey: this.#private, publicKey: theirs }))
    } catch (cause) {
      throw new RopewalkError('bad-input', 'That key cannot be agreed with', { cause })
    }
  }

  toJSON(): { publicKey: WireguardKey } {
    return { publicKey: this.publicKey }
  }
}
