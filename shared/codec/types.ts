import { isRopewalkError } from '@ropewalk/shared/errors'
import type { CborValue } from './cbor.ts'
import { type Codec, malformed, type TypeOf } from './codec.ts'

/** A whole number from `min` (0) to `max` (2^53 − 1). */
export function uint(max: number = Number.MAX_SAFE_INTEGER, min = 0): Codec<number> {
  return {
    build: (value) => value,
    parse(value, place) {
      if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value
      throw malformed(place, `a whole number from ${min} to ${max}`)
    },
  }
}

/** Text of at most `maxBytes` bytes of UTF-8. */
export function text(maxBytes: number, minBytes = 0): Codec<string> {
  return {
    build: (value) => value,
    parse(value, place) {
      if (typeof value === 'string') {
        const length = Buffer.byteLength(value)
        if (length >= minBytes && length <= maxBytes) return value
      }
      throw malformed(place, `text of ${minBytes} to ${maxBytes} bytes`)
    },
  }
}

/** Bytes: exactly `min`, or from `min` to `max`. The parsed value is a copy. */
export function bytes(min: number, max: number = min): Codec<Uint8Array> {
  return {
    build: (value) => value,
    parse(value, place) {
      if (value instanceof Uint8Array && value.length >= min && value.length <= max) return new Uint8Array(value)
      throw malformed(place, `${min} to ${max} bytes`)
    },
  }
}

/** True or false. */
export const bool: Codec<boolean> = {
  build: (value) => value,
  parse(value, place) {
    if (typeof value === 'boolean') return value
    throw malformed(place, 'true or false')
  },
}

/** A list of at most `max` items. */
export function list<T>(item: Codec<T>, max: number): Codec<readonly T[]> {
  return {
    build: (values) => values.map((value) => item.build(value)),
    parse(value, place) {
      if (!Array.isArray(value) || value.length > max) throw malformed(place, `a list of at most ${max}`)
      return value.map((one: unknown, index) => item.parse(one, `${place}[${index}]`))
    },
  }
}

/** A tuple: an array of exactly these items. */
export function tuple<const Items extends readonly Codec<unknown>[]>(
  ...items: Items
): Codec<{ readonly [I in keyof Items]: TypeOf<Items[I]> }> {
  type Values = { readonly [I in keyof Items]: TypeOf<Items[I]> }
  return {
    build: (values) => items.map((item, index) => item.build(values[index])),
    parse(value, place) {
      if (!Array.isArray(value) || value.length !== items.length) throw malformed(place, `${items.length} items`)
      return items.map((item, index) => item.parse(value[index], `${place}[${index}]`)) as unknown as Values
    },
  }
}

/** One of these words; on the wire its number, so the order is part of the protocol: append only. */
export function word<const Words extends readonly string[]>(...words: Words): Codec<Words[number]> {
  return {
    build: (value) => words.indexOf(value),
    parse(value, place) {
      const found = typeof value === 'number' ? words[value] : undefined
      if (found === undefined) throw malformed(place, `one of ${words.join(', ')}`)
      return found
    },
  }
}

/**
 * A type of ours made from a wire type, by its own parser. Whatever RopewalkError `from` throws is told with its place;
 * another error would be a fault of ours and passes.
 */
export function mapped<Wire, T>(wire: Codec<Wire>, from: (value: Wire) => T, to: (value: T) => Wire): Codec<T> {
  return {
    build: (value) => wire.build(to(value)),
    parse(value, place) {
      const parsed = wire.parse(value, place)
      try {
        return from(parsed)
      } catch (error) {
        if (isRopewalkError(error)) throw malformed(place, error.message)
        throw error
      }
    },
  }
}

/** A type that contains itself or is declared later. */
export function lazy<T>(codec: () => Codec<T>): Codec<T> {
  return { build: (value): CborValue => codec().build(value), parse: (value, place) => codec().parse(value, place) }
}
