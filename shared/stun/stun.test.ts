import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RopewalkError } from '../errors/index.ts'
import { decodeStun, encodeBindingRequest, encodeBindingSuccess, looksLikeStun } from './index.ts'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'))

// RFC 5769 §2.1–2.3
const REQUEST = hex(`
  000100582112a442b7e7a701bc34d686fa87dfae 802200105354554e207465737420636c69656e74
  002400046e0001ff 80290008932ff9b151263b36 00060009 6576746a3a683676592020 20
  000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004e57a3bcf`)
const RESPONSE_V4 = hex(`
  0101003c2112a442b7e7a701bc34d686fa87dfae 8022000b7465737420766563746f7220
  002000080001a147e112a643 000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004c07d4c96`)
const RESPONSE_V6 = hex(`
  010100482112a442b7e7a701bc34d686fa87dfae 8022000b7465737420766563746f7220
  002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9
  00080014a382954e4be67bf11784c97c8292c275bfe3ed41 80280004c8fb0b4c`)
const ID = hex('b7e7a701bc34d686fa87dfae')

const arbitraryId = fc.uint8Array({ minLength: 12, maxLength: 12 })
const arbitraryAddress = fc.record({
  address: fc.oneof(
    fc.ipV4(),
    fc.ipV6().map((address) => new URL(`http://[${address}]`).hostname.slice(1, -1)),
  ),
  port: fc.integer({ min: 0, max: 65_535 }),
})

describe('STUN', () => {
  test('reads the vectors of RFC 5769', () => {
    // USERNAME, PRIORITY and MESSAGE-INTEGRITY are ICE's: named as not understood
    expect(decodeStun(REQUEST)).toMatchObject({
      class: 'request',
      transactionId: ID,
      software: 'STUN test client',
      unknown: [0x24, 0x06, 0x08],
    })
    expect(decodeStun(RESPONSE_V4)).toMatchObject({
      class: 'success',
      transactionId: ID,
      software: 'test vector',
      mapped: { address: '192.0.2.1', port: 32_853 },
    })
    expect(decodeStun(RESPONSE_V6).mapped).toEqual({ address: '2001:db8:1234:5678:11:2233:4455:6677', port: 32_853 })
  })

  test('a request has 64 bytes and no answer is longer', () => {
    const request = encodeBindingRequest(ID)
    expect(request).toHaveLength(64)
    expect(decodeStun(request)).toEqual({ class: 'request', transactionId: ID, software: 'ropewalk', unknown: [] })
    expect(encodeBindingSuccess(ID, { address: 'ffff::1', port: 1 }).length).toBeLessThanOrEqual(64)
  })

  test('an answer comes back as it was sent', () => {
    fc.assert(
      fc.property(arbitraryId, arbitraryAddress, (id, mapped) => {
        expect(decodeStun(encodeBindingSuccess(id, mapped))).toEqual({
          class: 'success',
          transactionId: id,
          mapped,
          unknown: [],
        })
      }),
    )
  })

  test('reads an error answer', () => {
    const reason = '01110010 2112a442 b7e7a701bc34d686fa87dfae 00090009 00000401 556e617574 000000'
    expect(decodeStun(hex(reason))).toMatchObject({ class: 'error', error: { code: 401, reason: 'Unaut' } })
  })

  test('one flipped bit is noticed by the fingerprint', () => {
    fc.assert(
      fc.property(fc.nat(64 * 8 - 1), (bit) => {
        const bytes = encodeBindingRequest(ID)
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        // a flip in an attribute's header may hide the fingerprint, which is optional
        if ((bit >= 20 * 8 && bit < 24 * 8) || (bit >= 56 * 8 && bit < 60 * 8)) return
        expect(() => decodeStun(bytes)).toThrow(RopewalkError)
      }),
    )
  })

  test('malformed bytes fail typed, never otherwise', () => {
    const prefixes = [REQUEST, RESPONSE_V4, RESPONSE_V6]
    const arbitraryBytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(fc.constantFrom(...prefixes), fc.nat(), fc.nat(255)).map(([bytes, at, value]) => {
        const copy = bytes.slice()
        copy[at % copy.length] = value
        return copy
      }),
      fc.tuple(fc.constantFrom(...prefixes), fc.nat(200)).map(([bytes, length]) => bytes.slice(0, length)),
    )
    fc.assert(
      fc.property(arbitraryBytes, (bytes) => {
        looksLikeStun(bytes)
        try {
          decodeStun(bytes)
        } catch (error) {
          expect(error).toMatchObject({ code: 'protocol-error' })
        }
      }),
      { numRuns: 5000 },
    )
  })
})
