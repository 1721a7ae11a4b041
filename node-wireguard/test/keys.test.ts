import { createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { generatePrivateKey, publicKeyOf } from '../index.ts'
import { codeOf } from './mesh.ts'

test('a public key follows from its private key as OpenSSL says', () => {
  for (let round = 0; round < 20; round += 1) {
    const { privateKey, publicKey } = generateKeyPairSync('x25519')
    const secret = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url')
    const expected = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url')
    expect(Buffer.from(publicKeyOf(secret))).toEqual(expected)
  }
})

test('a new private key is clamped, and no two are equal', () => {
  const [one, other] = [generatePrivateKey(), generatePrivateKey()]
  expect(one).toHaveLength(32)
  expect((one[0] ?? 1) & 7).toBe(0)
  expect((one[31] ?? 0) & 0xc0).toBe(0x40)
  expect(one).not.toEqual(other)
})

test('a new key agrees with a key of OpenSSL', () => {
  const ours = publicKeyOf(generatePrivateKey())
  const theirs = generateKeyPairSync('x25519')
  const key = { kty: 'OKP', crv: 'X25519', x: Buffer.from(ours).toString('base64url') }
  const publicKey = createPublicKey({ key, format: 'jwk' })
  expect(diffieHellman({ privateKey: theirs.privateKey, publicKey })).toHaveLength(32)
})

test('what is no key is refused with a code', async () => {
  for (const wrong of [new Uint8Array(31), new Uint8Array(0), 'text', undefined, null, 7, new Uint16Array(16)]) {
    expect(await codeOf(() => publicKeyOf(wrong as Uint8Array))).toBe('ERR_WIREGUARD_INVALID_ARGUMENT')
  }
})
