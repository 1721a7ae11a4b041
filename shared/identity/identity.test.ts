import { inspect } from 'node:util'
import { RopewalkError } from '@ropewalk/shared/errors'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromBase58, toBase58 } from './base58.ts'
import {
  fromBase32,
  generateSigningKey,
  generateWireguardKeys,
  nodeIdOf,
  parseName,
  parseNodeId,
  parseWireguardKey,
  publicKeyOf,
  signingKeyFromSeed,
  toBase32,
  verifySignature,
  wireguardKeyBytes,
  wireguardKeysFromPrivate,
} from './index.ts'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })

describe('identity', () => {
  test('base58 and base32 give back what went in', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (input) => {
        expect(fromBase58(toBase58(input))).toEqual(input)
        expect(fromBase32(toBase32(input))).toEqual(input)
      }),
    )
  })

  test('a node id is the libp2p PeerId of the key', () => {
    // RFC 8032 test 1's public key; PeerId text computed by js-libp2p 3.3
    const key = Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex')
    expect(nodeIdOf(key)).toBe('12D3KooWQK1wnefoLrcVHbbnf5tLzbopUd3K3bFAoJpA7YJgL5pV')
  })

  test('a node id carries its key', () => {
    fc.assert(
      fc.property(bytes(32), (key) => {
        expect(publicKeyOf(nodeIdOf(key))).toEqual(key)
      }),
    )
  })

  test('other text is no node id', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (text) => {
        expect(() => parseNodeId(text)).toThrow(RopewalkError)
      }),
    )
  })

  test('a seed gives the same key again, and the RFC 8032 one its public key', () => {
    const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex')
    const key = signingKeyFromSeed(seed)
    expect(Buffer.from(key.publicKey).toString('hex')).toMatch(/^d75a9801/)
    expect(Buffer.from(key.exportSeed())).toEqual(seed)
  })

  test('a signature holds for its context, message and key only', () => {
    const key = generateSigningKey()
    const message = Buffer.from('hello')
    const signature = key.sign('a\0', message)
    expect(verifySignature(key.publicKey, 'a\0', message, signature)).toBe(true)
    expect(verifySignature(key.publicKey, 'b\0', message, signature)).toBe(false)
    expect(verifySignature(key.publicKey, 'a\0', Buffer.from('hellp'), signature)).toBe(false)
    expect(verifySignature(generateSigningKey().publicKey, 'a\0', message, signature)).toBe(false)
    expect(verifySignature(new Uint8Array(3), 'a\0', message, signature)).toBe(false)
  })

  test('two WireGuard pairs agree, and refuse a key of low order', () => {
    const [a, b] = [generateWireguardKeys(), generateWireguardKeys()]
    expect(a.agree(wireguardKeyBytes(b.publicKey))).toEqual(b.agree(wireguardKeyBytes(a.publicKey)))
    expect(wireguardKeysFromPrivate(a.exportPrivateKey()).publicKey).toBe(a.publicKey)
    expect(() => a.agree(new Uint8Array(32))).toThrow(RopewalkError)
  })

  test('other text is no WireGuard key', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 50 }), (text) => {
        expect(() => parseWireguardKey(text)).toThrow(RopewalkError)
      }),
    )
  })

  test('secrets show neither in JSON nor in a dump', () => {
    const [node, wireguard] = [generateSigningKey(), generateWireguardKeys()]
    const shown = JSON.stringify({ node, wireguard }) + inspect({ node, wireguard }, { depth: 9, showHidden: true })
    for (const secret of [node.exportSeed(), wireguard.exportPrivateKey()]) {
      for (const form of ['hex', 'base64'] as const) expect(shown).not.toContain(Buffer.from(secret).toString(form))
    }
  })

  test('a name is one DNS label', () => {
    for (const good of ['a', 'worker-a', '0', 'x'.repeat(63)]) expect(parseName(good)).toBe(good)
    for (const bad of ['', '-a', 'a-', 'A', 'a.b', 'ä', 'x'.repeat(64), 'a\n'])
      expect(() => parseName(bad)).toThrow(RopewalkError)
  })

  test('a name is never taken for a node id', () => {
    fc.assert(
      fc.property(bytes(32), (key) => {
        expect(() => parseName(nodeIdOf(key).toLowerCase())).toThrow(/form of a node id/)
      }),
    )
    expect(parseName('12d3koo')).toBe('12d3koo')
  })
})
