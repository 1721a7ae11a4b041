import { isIP } from 'node:net'
import { RopewalkError } from '@ropewalk/shared/errors'
import { networkIdOf, nodeIdOf } from '@ropewalk/shared/identity'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addressBytes,
  checkNetworkPrefix4,
  formatAddress,
  IPV4_TRIES,
  ipv4Of,
  ipv6Of,
  isAddress,
  mayHoldIpv4,
  networkPrefix6,
  parseAddress,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
} from './index.ts'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const node = bytes(32).map(nodeIdOf)
const network = bytes(32).map(networkIdOf)
const prefix4 = fc.tuple(bytes(4), fc.integer({ min: 8, max: 24 })).map(([b, n]) => {
  const value = (Buffer.from(b).readUInt32BE() & (0xffffffff << (32 - n))) >>> 0
  return parsePrefix(`${[24, 16, 8, 0].map((s) => (value >>> s) & 255).join('.')}/${n}`)
})

describe('addresses', () => {
  test('text and bytes give each other back, and the platform reads the text alike', () => {
    fc.assert(
      fc.property(fc.oneof(bytes(4), bytes(16)), (input) => {
        const text = formatAddress(input)
        expect(isIP(text)).toBe(input.length === 4 ? 4 : 6)
        expect(addressBytes(text)).toEqual(input)
      }),
    )
  })

  test('IPv6 text is canonical by RFC 5952', () => {
    const cases = {
      '2001:DB8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
      '0:0:0:0:0:0:0:0': '::',
      '::1': '::1',
      '1::': '1::',
      '::ffff:1.2.3.4': '::ffff:102:304',
    }
    for (const [input, canonical] of Object.entries(cases)) expect(parseAddress(input)).toBe(canonical)
  })

  test('we read exactly the addresses the platform reads, zones aside', () => {
    const digits = fc.string({ unit: fc.constantFrom(...'0123456789abf:.'), maxLength: 24 })
    fc.assert(
      fc.property(digits, (text) => {
        expect(isAddress(text)).toBe(isIP(text) !== 0)
      }),
      { numRuns: 3_000 },
    )
    expect(isAddress('fe80::1%eth0')).toBe(false)
  })
})

describe('prefixes', () => {
  test('host bits and foreign lengths are refused with a way out', () => {
    for (const bad of ['10.0.0.1/8', '10.0.0.0/33', '::/129', '10.0.0.0/8/8', '10.0.0.0/', 'x/8', '10.0.0.0/-1']) {
      expect(() => parsePrefix(bad)).toThrow(RopewalkError)
    }
  })

  test('overlap is symmetric and means that one contains the other', () => {
    fc.assert(
      fc.property(prefix4, prefix4, (a, b) => {
        const contained = prefixContains(a, b.split('/')[0] ?? '') || prefixContains(b, a.split('/')[0] ?? '')
        expect(prefixesOverlap(a, b)).toBe(contained)
        expect(prefixesOverlap(b, a)).toBe(contained)
      }),
    )
    expect(prefixesOverlap(parsePrefix('::/0'), parsePrefix('0.0.0.0/0'))).toBe(false)
  })

  test('a network takes no prefix that is too small, too large or IPv6', () => {
    for (const bad of ['10.0.0.0/25', '0.0.0.0/0', 'fd00::/48']) {
      expect(() => checkNetworkPrefix4(parsePrefix(bad))).toThrow(RopewalkError)
    }
  })
})

describe('overlay addresses', () => {
  test('IPv6 lies in the network prefix and follows from network and key', () => {
    fc.assert(
      fc.property(network, node, (net, id) => {
        expect(prefixContains(networkPrefix6(net), ipv6Of(net, id))).toBe(true)
        expect(networkPrefix6(net)).toMatch(/^fd.*\/48$/)
        expect(ipv6Of(net, id)).toBe(ipv6Of(net, id))
      }),
    )
  })

  test('every IPv4 try lies inside the prefix, is neither its first nor last, and may be held', () => {
    fc.assert(
      fc.property(prefix4, node, fc.nat(IPV4_TRIES - 1), (prefix, id, attempt) => {
        const address = ipv4Of(prefix, id, attempt)
        expect(prefixContains(prefix, address)).toBe(true)
        expect(mayHoldIpv4(prefix, id, address)).toBe(true)
        expect(address.split('/')[0]).not.toBe(prefix.split('/')[0])
      }),
    )
  })

  test('an address of another key may not be held', () => {
    const prefix = parsePrefix('100.88.0.0/16')
    const [a, b] = [nodeIdOf(new Uint8Array(32).fill(1)), nodeIdOf(new Uint8Array(32).fill(2))]
    expect(mayHoldIpv4(prefix, a, ipv4Of(prefix, b, 0))).toBe(false)
    expect(mayHoldIpv4(prefix, a, parseAddress('10.0.0.1'))).toBe(false)
  })
})
