import { RopewalkError } from '@ropewalk/shared/errors'
import fc from 'fast-check'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))

/** Byte strings that have hurt CBOR readers: kept by hand, tried on every codec. */
export const CORPUS: readonly Uint8Array[] = [
  hex(''),
  hex('00'),
  hex('f6'), // null
  hex('f7'), // undefined
  hex('a0'), // an empty map
  hex('80'), // an empty list
  hex('9f ff'), // a list of indefinite length
  hex('bf ff'), // a map of indefinite length
  hex('5f ff'), // bytes of indefinite length
  hex('9b ff ff ff ff ff ff ff ff'), // a list of 2^64 − 1 items
  hex('9a ff ff ff ff 00'), // a list of 2^32 − 1 items
  hex('bb 7f ff ff ff ff ff ff ff'), // a map of 2^63 − 1 entries
  hex('5b 00 00 00 ff ff ff ff ff'), // bytes of 2^40 − 1
  hex('7a ff ff ff ff 41'), // text of 2^32 − 1
  hex('62 c3 28'), // text that is not UTF-8
  hex('a2 01 00 01 00'), // a key twice
  hex('a2 02 00 01 00'), // keys out of order
  hex('a1 18 01 00'), // a key that is longer than it needs to be
  hex('a1 fb 3f f0 00 00 00 00 00 00 00'), // a key that is a float
  hex('a1 61 5f 5f 70 72 6f 74 6f 5f 5f a0'), // a text key
  hex('a1 69 5f 5f 70 72 6f 74 6f 5f 5f a0'), // __proto__
  hex('f9 7e 00'), // NaN
  hex('f9 7c 00'), // Infinity
  hex('fb 41 d0 00 00 00 00 00 00'), // a whole number as a float
  hex('1b ff ff ff ff ff ff ff ff'), // 2^64 − 1
  hex('20'), // −1
  hex('c0 00'), // a tag
  hex('c2 41 01'), // a bignum
  hex('d9 d9 f7 00'), // the self-described tag
  hex('fc'), // reserved
  hex('00 00'), // something behind the end
  new Uint8Array(20_000).fill(0x81), // lists in lists, 20,000 deep
  new Uint8Array(20_000).fill(0xa1),
  new Uint8Array(20_000).fill(0xc1),
  new Uint8Array(64).fill(0xff),
]

/** Damaged forms of a valid message: cut, lengthened, flipped, spliced, and noise of any kind. */
export function damaged(valid: Uint8Array): fc.Arbitrary<Uint8Array> {
  const at = fc.nat(Math.max(0, valid.length - 1))
  const flipped = fc
    .array(fc.tuple(at, fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 })
    .map((flips) => {
      const copy = new Uint8Array(valid)
      for (const [index, mask] of flips) copy[index] = (copy[index] ?? 0) ^ mask
      return copy
    })
  const cut = at.map((end) => valid.slice(0, end))
  const longer = fc.uint8Array({ minLength: 1, maxLength: 8 }).map((tail) => Uint8Array.from([...valid, ...tail]))
  const spliced = fc
    .tuple(at, at, fc.uint8Array({ maxLength: 8 }))
    .map(([a, b, middle]) =>
      Uint8Array.from([...valid.subarray(0, Math.min(a, b)), ...middle, ...valid.subarray(Math.max(a, b))]),
    )
  return fc.oneof(flipped, cut, longer, spliced, fc.uint8Array({ maxLength: 200 }))
}

/** Damaged forms of a valid text: letters changed, cut, doubled, spliced with foreign ones, or other text altogether. */
export function damagedText(valid: string): fc.Arbitrary<string> {
  const at = fc.nat(Math.max(0, valid.length - 1))
  const letter = fc.oneof(fc.string({ unit: 'binary', maxLength: 3 }), fc.stringMatching(/^[\w:=+/-]{0,3}$/))
  const changed = fc
    .array(fc.tuple(at, letter), { minLength: 1, maxLength: 4 })
    .map((changes) => changes.reduce((text, [index, to]) => text.slice(0, index) + to + text.slice(index + 1), valid))
  const cut = at.map((end) => valid.slice(0, end))
  const doubled = at.map((end) => valid + valid.slice(end))
  const spliced = fc.tuple(at, at).map(([a, b]) => valid.slice(0, Math.min(a, b)) + valid.slice(Math.max(a, b)))
  return fc.oneof(changed, cut, doubled, spliced, fc.string({ unit: 'binary', maxLength: 300 }))
}

/**
 * Runs a reader over the corpus and over damage to a valid message: it may read or refuse, but only with a
 * RopewalkError. @throws whatever else the reader threw
 */
export function expectOnlyTypedErrors(valid: Uint8Array, read: (raw: Uint8Array) => unknown, runs = 1_000): void {
  const attempt = (raw: Uint8Array): void => {
    try {
      read(raw)
    } catch (error) {
      if (!(error instanceof RopewalkError) || error.code === 'internal') throw error
    }
  }
  for (const raw of CORPUS) attempt(raw)
  fc.assert(fc.property(damaged(valid), attempt), { numRuns: runs })
}
