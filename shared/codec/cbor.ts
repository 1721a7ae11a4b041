import { RopewalkError } from '@ropewalk/shared/errors'
import { decode, encode, rfc8949EncodeOptions } from 'cborg'

/** What our deterministic CBOR may hold: no floats, no tags, no indefinite lengths; map keys are small integers. */
export type CborValue = number | string | boolean | Uint8Array | readonly CborValue[] | CborMap

/** A map with integer keys. */
export type CborMap = ReadonlyMap<number, CborValue>

/** Deterministic CBOR (RFC 8949 §4.2.1). */
export function encodeCbor(value: CborValue): Uint8Array {
  // a plain array whatever its length: short ones come as a Buffer
  return new Uint8Array(encode(value, rfc8949EncodeOptions))
}

/**
 * Decodes CBOR of at most `maxBytes`; the size is looked at first. Determinism is proven by the codec, which encodes
 * the parsed value again. @throws RopewalkError `too-large` or `bad-input`, never anything else
 */
export function decodeCbor(bytes: Uint8Array, maxBytes: number): unknown {
  if (bytes.length > maxBytes) {
    throw new RopewalkError('too-large', `A message of ${bytes.length} bytes is over its limit of ${maxBytes}`)
  }
  try {
    return decode(bytes, {
      allowIndefinite: false,
      allowUndefined: false,
      allowInfinity: false,
      allowNaN: false,
      allowBigInt: false,
      strict: true,
      useMaps: true,
      rejectDuplicateMapKeys: true,
    })
  } catch (cause) {
    // also a RangeError of the stack, when hostile bytes nest some thousands deep
    throw new RopewalkError('bad-input', 'The bytes are not CBOR of ours', { cause })
  }
}
