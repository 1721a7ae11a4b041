import { RopewalkError } from '@ropewalk/shared/errors'
import { type CborValue, decodeCbor, encodeCbor } from './cbor.ts'

/** The two directions of one wire type. `parse` is given hostile values and throws {@link RopewalkError} only. */
export interface Codec<T> {
  /** The value as CBOR. */
  build(value: T): CborValue
  /** The value out of decoded CBOR. @throws RopewalkError `bad-input` with the place */
  parse(value: unknown, place: string): T
}

/** The value type of a codec. */
export type TypeOf<C> = C extends Codec<infer T> ? T : never

/** Encodes a value deterministically; what we would not read back is refused here already. */
export function encodeWith<T>(codec: Codec<T>, value: T): Uint8Array {
  return encodeCbor(codec.build(value))
}

/**
 * Decodes bytes of at most `maxBytes`. Exactly one encoding of a value is accepted: encoding the result again must
 * give the input. @throws RopewalkError `too-large` or `bad-input`
 */
export function decodeWith<T>(codec: Codec<T>, bytes: Uint8Array, maxBytes: number): T {
  const value = codec.parse(decodeCbor(bytes, maxBytes), 'message')
  if (Buffer.compare(encodeCbor(codec.build(value)), bytes) !== 0) throw malformed('message', 'its only encoding')
  return value
}

/** The error of a value that is not what its place asks for. */
export function malformed(place: string, wanted: string): RopewalkError {
  return new RopewalkError('bad-input', `Malformed: ${place} is not ${wanted}`)
}
