import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { generateSigningKey, type NodeId } from '../identity/index.ts'
import {
  type ControlMessage,
  controlDecoder,
  createOnceWindow,
  decodeHello,
  encodeControl,
  encodeHello,
  encodeStreamMessage,
  helloIsBy,
  type ProofRole,
  partsOf,
  refusalByte,
  refusalCode,
  signProof,
  streamDecoder,
  streamIdOf,
  verifyProof,
} from './index.ts'

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const peer: NodeId = generateSigningKey().nodeId
const stream = bytesOf(16)
const words = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 32 })

const arbitraryControl: fc.Arbitrary<ControlMessage> = fc.oneof(
  fc.record({
    kind: fc.constant('hello' as const),
    version: fc.integer({ min: 1, max: 255 }),
    role: fc.constantFrom('agent' as const, 'visitor' as const),
    nonce: bytesOf(32),
  }),
  fc.record({
    kind: fc.constant('challenge' as const),
    nonce: bytesOf(32),
    bundle: fc.uint8Array({ maxLength: 3072 }),
    signature: bytesOf(64),
  }),
  fc.record({
    kind: fc.constant('prove' as const),
    bundle: fc.uint8Array({ maxLength: 3072 }),
    signature: bytesOf(64),
  }),
  fc.record({
    kind: fc.constant('welcome' as const),
    session: bytesOf(8),
    dataKey: bytesOf(32),
    maxStreams: fc.integer({ min: 1, max: 1_000_000 }),
  }),
  fc.record({ kind: fc.constant('register' as const), maxStreams: fc.integer({ min: 1, max: 1_000_000 }) }),
  fc.record({ kind: fc.constant('open' as const), stream }),
  fc.record({ kind: fc.constant('open' as const), stream, peer: fc.constant(peer) }),
  fc.record({ kind: fc.constant('cancel' as const), stream }),
  fc.record({ kind: fc.constant('reset' as const), stream, code: words, message: fc.string({ maxLength: 100 }) }),
  fc.record({ kind: fc.constant('ping' as const), id: fc.nat(), reply: fc.boolean() }),
  fc.record({ kind: fc.constant('drain' as const), code: words, message: words }),
  fc.record({ kind: fc.constant('refuse' as const), code: words, message: words }),
)

/** Cuts bytes at arbitrary places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const cuts = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return cuts.slice(1).map((to, index) => bytes.subarray(cuts[index], to))
}

describe('control messages', () => {
  test('come out as they went in, however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(arbitraryControl, { maxLength: 5 }),
        fc.array(fc.nat(), { maxLength: 8 }),
        (messages, places) => {
          const decoder = controlDecoder()
          const bytes = Buffer.concat(messages.map((message) => encodeControl(message)))
          expect(cut(bytes, places).flatMap((chunk) => decoder.push(chunk))).toEqual(messages)
        },
      ),
    )
  })

  test('a length over the limit is refused by its prefix alone, and the limit rises with trust', () => {
    const prefix = Buffer.alloc(4)
    prefix.writeUInt32BE(4097)
    expect(() => controlDecoder().push(prefix)).toThrow('over its limit')
    const trusted = controlDecoder()
    trusted.trust()
    expect(trusted.push(prefix)).toEqual([])
    prefix.writeUInt32BE(65_537)
    const other = controlDecoder()
    other.trust()
    expect(() => other.push(prefix)).toThrow('over its limit')
  })

  test('malformed bytes fail as protocol errors only', () => {
    const mangled = fc
      .tuple(arbitraryControl, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }))
      .map(([message, edits]) => {
        const bytes = encodeControl(message)
        for (const [at, value] of edits) bytes[at % bytes.length] = value
        return bytes
      })
    const raw = fc
      .uint8Array({ maxLength: 300 })
      .map((body) => Buffer.concat([Uint8Array.of(0, 0, body.length >> 8, body.length & 255), body]))
    fc.assert(
      fc.property(fc.oneof(mangled, raw, fc.uint8Array({ maxLength: 64 })), (bytes) => {
        try {
          controlDecoder().push(bytes)
        } catch (error) {
          expect(error).toMatchObject({ code: 'protocol-error' })
        }
      }),
      { numRuns: 5000 },
    )
  })
})

describe('the hello of a data connection', () => {
  const kinds = fc.constantFrom('pooled' as const, 'called' as const, 'visit' as const)

  test('has 64 bytes and holds for its key only', () => {
    fc.assert(
      fc.property(kinds, stream, bytesOf(32), bytesOf(32), (kind, id, key, other) => {
        fc.pre(Buffer.compare(key, other) !== 0)
        const hello = encodeHello({ kind, stream: id }, key)
        expect(hello).toHaveLength(64)
        expect(decodeHello(hello)).toEqual({ kind, stream: id })
        expect(helloIsBy(hello, key)).toBe(true)
        expect(helloIsBy(hello, other)).toBe(false)
      }),
    )
  })

  test('one flipped bit anywhere is noticed', () => {
    const key = new Uint8Array(32).fill(7)
    fc.assert(
      fc.property(kinds, stream, fc.nat(511), (kind, id, bit) => {
        const hello = encodeHello({ kind, stream: id }, key)
        hello[bit >> 3] = (hello[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        const taken = () => decodeHello(hello) !== undefined && helloIsBy(hello, key)
        let result = false
        try {
          result = taken()
        } catch (error) {
          expect(error).toMatchObject({ code: 'protocol-error' })
        }
        expect(result).toBe(false)
      }),
    )
  })

  test('any 64 bytes are decoded or refused, typed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        expect(() => decodeHello(bytes)).toThrow('not the hello')
      }),
    )
  })

  test('a stream id gives back its session and number', () => {
    fc.assert(
      fc.property(bytesOf(8), fc.maxSafeNat(), (session, number) => {
        expect(partsOf(streamIdOf(session, number))).toEqual({ session, number })
      }),
    )
    expect(partsOf(new Uint8Array(16).fill(255)).number).toBeNaN()
  })

  test('refusals keep their code, unknown ones become internal', () => {
    for (const code of ['no-agent', 'limit-reached', 'draining'] as const)
      expect(refusalCode(refusalByte(code))).toBe(code)
    expect(refusalCode(refusalByte('bad-ticket'))).toBe('internal')
    expect(refusalCode(255)).toBe('internal')
  })
})

describe('the once window', () => {
  test('takes each number once, like a set, within its width', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3000 })), (numbers) => {
        const window = createOnceWindow()
        const seen = new Set<number>()
        for (const number of numbers) {
          expect(window.use(number)).toBe(!seen.has(number))
          seen.add(number)
        }
      }),
    )
  })

  test('numbers that fell out of it, and no numbers, are refused', () => {
    const window = createOnceWindow()
    expect(window.use(1)).toBe(true)
    expect(window.use(10_000)).toBe(true)
    expect(window.use(5904)).toBe(false)
    expect(window.use(5905)).toBe(true)
    for (const bad of [-1, 1.5, Number.NaN, 2 ** 60]) expect(window.use(bad)).toBe(false)
  })
})

describe('proofs', () => {
  test('hold for their role, nonces, exporter and key only', () => {
    const [key, other] = [generateSigningKey(), generateSigningKey()]
    const roles: ProofRole[] = ['relay', 'agent', 'visitor']
    const part = (fill: number) => new Uint8Array(32).fill(fill)
    const input = { role: 'agent' as const, clientNonce: part(1), relayNonce: part(2), exporter: part(3) }
    const signature = signProof(key, input)
    expect(verifyProof(key.publicKey, input, signature)).toBe(true)
    for (const role of roles) expect(verifyProof(key.publicKey, { ...input, role }, signature)).toBe(role === 'agent')
    for (const name of ['clientNonce', 'relayNonce', 'exporter'] as const) {
      expect(verifyProof(key.publicKey, { ...input, [name]: part(9) }, signature)).toBe(false)
      expect(verifyProof(key.publicKey, { ...input, [name]: new Uint8Array(0) }, signature)).toBe(false)
    }
    expect(verifyProof(other.publicKey, input, signature)).toBe(false)
  })

  test('a byte moved from one nonce to the other breaks it', () => {
    const key = generateSigningKey()
    const input = {
      role: 'relay' as const,
      clientNonce: new Uint8Array(33),
      relayNonce: new Uint8Array(31),
      exporter: new Uint8Array(32),
    }
    expect(verifyProof(key.publicKey, input, signProof(key, input))).toBe(false)
  })
})

describe('the head of a stream', () => {
  test('is followed by bytes that are kept', () => {
    const decoder = streamDecoder()
    const head = encodeStreamMessage({ kind: 'request', version: 1, service: 'ssh', bundle: new Uint8Array(5) })
    expect(decoder.first(head.subarray(0, 7))).toBeUndefined()
    const message = decoder.first(Buffer.concat([head.subarray(7), Buffer.from('tail')]))
    expect(message).toEqual({ kind: 'request', version: 1, service: 'ssh', bundle: new Uint8Array(5) })
    expect(Buffer.from(decoder.rest()).toString()).toBe('tail')
  })

  test('accepted and refused come back as they were', () => {
    const accepted = { kind: 'accepted' as const }
    const refused = { kind: 'refused' as const, code: 'not-exposed', message: 'no' }
    for (const message of [accepted, refused])
      expect(streamDecoder().push(encodeStreamMessage(message))).toEqual([message])
  })
})
