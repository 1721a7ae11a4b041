import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'

/** An X25519 pair, 32 bytes each. Made by Node, so that no key of a test depends on what is tested. */
export interface KeyPair {
  readonly privateKey: Buffer
  readonly publicKey: Buffer
}

export function makeKeyPair(): KeyPair {
  const { privateKey } = generateKeyPairSync('x25519')
  const jwk = privateKey.export({ format: 'jwk' })
  const publicJwk = createPublicKey(createPrivateKey({ key: jwk, format: 'jwk' })).export({ format: 'jwk' })
  return { privateKey: Buffer.from(jwk.d ?? '', 'base64url'), publicKey: Buffer.from(publicJwk.x ?? '', 'base64url') }
}
