import { randomBytes } from 'node:crypto'
import { CORPUS, damaged, expectOnlyTypedErrors } from '@ropewalk/shared/hostile'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { generateSigningKey } from '../identity/index.ts'
import {
  type ControlMessage,
  controlDecoder,
  decodeHello,
  encodeControl,
  encodeHello,
  encodeStreamMessage,
  parseRelayUrl,
  streamDecoder,
  streamIdOf,
} from './index.ts'

/** A body with its length in front, as both decoders take it. */
function framed(body: Uint8Array): Uint8Array {
  const prefix = Buffer.alloc(4)
  prefix.writeUInt32BE(body.length)
  return Buffer.concat([prefix, body])
}

const stream = new Uint8Array(randomBytes(16))
const MESSAGES: readonly ControlMessage[] = [
  { kind: 'hello', version: 1, role: 'visitor', nonce: new Uint8Array(32) },
  { kind: 'challenge', nonce: new Uint8Array(32), bundle: new Uint8Array(900), signature: new Uint8Array(64) },
  { kind: 'prove', bundle: new Uint8Array(900), signature: new Uint8Array(64) },
  { kind: 'welcome', session: new Uint8Array(8), dataKey: new Uint8Array(32), maxStreams: 9 },
  { kind: 'open', stream, peer: generateSigningKey().nodeId },
  { kind: 'reset', stream, code: 'revoked', message: 'no more' },
]

describe('malformed input', () => {
  test('of the control stream fails typed, whatever is damaged', () => {
    for (const message of MESSAGES) {
      const body = encodeControl(message).subarray(4)
      expectOnlyTypedErrors(body, (raw) => controlDecoder().push(framed(raw)), 300)
    }
  })

  test('of the head of a stream fails typed', () => {
    const body = encodeStreamMessage({
      kind: 'request',
      version: 1,
      service: 'ssh',
      bundle: new Uint8Array(900),
    }).subarray(4)
    expectOnlyTypedErrors(body, (raw) => streamDecoder().first(framed(raw)))
  })

  test('of the corpus is never taken for a message', () => {
    for (const body of CORPUS) {
      for (const decoder of [controlDecoder(), streamDecoder()]) {
        expect(() => decoder.push(framed(body))).toThrow()
      }
    }
  })

  test('of a data hello fails typed', () => {
    expectOnlyTypedErrors(
      encodeHello({ kind: 'visit', stream: streamIdOf(randomBytes(8), 1) }, randomBytes(32)),
      decodeHello,
    )
  })

  test('after good messages leaves those that came before it', () => {
    const good = encodeControl({ kind: 'ping', id: 7, reply: false })
    fc.assert(
      fc.property(damaged(good), (bad) => {
        const decoder = controlDecoder()
        expect(decoder.push(good)).toEqual([{ kind: 'ping', id: 7, reply: false }])
        try {
          decoder.push(bad)
        } catch (error) {
          expect(error).toMatchObject({ code: 'protocol-error' })
        }
      }),
    )
  })

  test('as a relay’s URL is refused, and plain HTTP outside loopback above all', () => {
    const { nodeId } = generateSigningKey()
    expect(parseRelayUrl('https://relay.example/', nodeId)).toMatchObject({
      host: 'relay.example',
      port: 443,
      secure: true,
    })
    expect(parseRelayUrl('https://[2001:db8::1]:8443/', nodeId)).toMatchObject({ host: '2001:db8::1', port: 8443 })
    expect(parseRelayUrl('http://127.0.0.1:8080/', nodeId)).toMatchObject({ port: 8080, secure: false })
    expect(() => parseRelayUrl('http://relay.example/', nodeId)).toThrow('without TLS')
    expect(() => parseRelayUrl('http://127.0.0.1.example/', nodeId)).toThrow('without TLS')
    for (const bad of ['', 'relay', 'ftp://x/', 'https://'])
      expect(() => parseRelayUrl(bad, nodeId)).toThrow('relay’s URL')
    expect(() => parseRelayUrl('https://relay.example/', 'nobody')).toThrow('relay’s URL')
  })
})
