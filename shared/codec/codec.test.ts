import { RopewalkError } from '@ropewalk/shared/errors'
import { CORPUS, damaged } from '@ropewalk/shared/hostile'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bool,
  bytes,
  decodeWith,
  encodeCbor,
  encodeWith,
  field,
  list,
  maybe,
  struct,
  text,
  tuple,
  uint,
  union,
  word,
} from './index.ts'

const sample = struct({
  id: field(1, bytes(4)),
  name: field(2, text(20)),
  count: maybe(3, uint()),
  flags: field(4, list(bool, 3)),
  colour: field(5, word('red', 'green')),
  pair: field(6, tuple(uint(9), text(3))),
})
const shape = union({ dot: [0, struct({ x: field(1, uint()) })], line: [1, struct({ xs: field(1, list(uint(), 4)) })] })

const anySample = fc.record({
  id: fc.uint8Array({ minLength: 4, maxLength: 4 }),
  name: fc.string({ maxLength: 6 }),
  count: fc.option(fc.nat(), { nil: undefined }),
  flags: fc.array(fc.boolean(), { maxLength: 3 }),
  colour: fc.constantFrom('red' as const, 'green' as const),
  pair: fc.tuple(fc.nat(9), fc.string({ unit: 'grapheme-ascii', maxLength: 3 })),
})

describe('codec', () => {
  test('gives back what went in', () => {
    fc.assert(
      fc.property(anySample, (value) => {
        const { count, ...rest } = value
        expect(decodeWith(sample, encodeWith(sample, value), 200)).toEqual(count === undefined ? rest : value)
      }),
    )
    const line = { kind: 'line', xs: [1, 2] } as const
    expect(decodeWith(shape, encodeWith(shape, line), 20)).toEqual(line)
  })

  test('accepts one encoding only: whatever it reads, it writes alike', () => {
    const valid = encodeWith(sample, {
      id: new Uint8Array(4),
      name: 'a',
      count: 1,
      flags: [true],
      colour: 'red',
      pair: [1, 'x'],
    })
    const attempt = (raw: Uint8Array): void => {
      try {
        expect(encodeWith(sample, decodeWith(sample, raw, 300))).toEqual(raw)
      } catch (error) {
        expect(error).toBeInstanceOf(RopewalkError)
      }
    }
    for (const raw of CORPUS) attempt(raw)
    fc.assert(fc.property(damaged(valid), attempt), { numRuns: 5_000 })
  })

  test('refuses unknown keys, missing keys, longer forms and what is too large', () => {
    const one = struct({ x: field(1, uint()) })
    expect(() =>
      decodeWith(
        one,
        encodeCbor(
          new Map([
            [1, 1],
            [2, 1],
          ]),
        ),
        99,
      ),
    ).toThrow('unknown key')
    expect(() => decodeWith(one, encodeCbor(new Map()), 99)).toThrow('message.x is not there')
    expect(() => decodeWith(one, Uint8Array.of(0xa1, 0x01, 0x18, 0x01), 99)).toThrow(RopewalkError)
    expect(() => decodeWith(one, Uint8Array.of(0xa1, 0x01, 0x01), 2)).toThrow('over its limit')
  })

  test('looks at the size before it decodes', () => {
    const huge = new Uint8Array(50_000_000).fill(0x81)
    const before = performance.now()
    expect(() => decodeWith(sample, huge, 1_024)).toThrow('over its limit')
    expect(performance.now() - before).toBeLessThan(50)
  })
})
