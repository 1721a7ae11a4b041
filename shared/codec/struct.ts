import type { CborMap, CborValue } from './cbor.ts'
import { type Codec, malformed, type TypeOf } from './codec.ts'

/** A field of a struct: its integer key on the wire and its codec. */
export interface Field<T, Optional extends boolean> {
  readonly key: number
  readonly codec: Codec<T>
  readonly optional: Optional
}

/** A field that must be there. */
export function field<T>(key: number, codec: Codec<T>): Field<T, false> {
  return { key, codec, optional: false }
}

/** A field that may be absent. */
export function maybe<T>(key: number, codec: Codec<T>): Field<T, true> {
  return { key, codec, optional: true }
}

type Fields = Readonly<Record<string, Field<unknown, boolean>>>
type FieldType<F> = F extends { readonly codec: infer C } ? TypeOf<C> : never
type Required<F extends Fields> = { [K in keyof F]: F[K]['optional'] extends true ? never : K }[keyof F]
type Optional<F extends Fields> = { [K in keyof F]: F[K]['optional'] extends true ? K : never }[keyof F]

/** The object a struct's fields describe. */
export type StructOf<F extends Fields> = { readonly [K in Required<F>]: FieldType<F[K]> } & {
  readonly [K in Optional<F>]?: FieldType<F[K]> | undefined
}

/** An object as a CBOR map with integer keys. Unknown keys are refused. */
export function struct<const F extends Fields>(fields: F): Codec<StructOf<F>> {
  const entries = Object.entries(fields)
  const known = new Set(entries.map(([, { key }]) => key))
  return {
    build(value): CborMap {
      const map = new Map<number, CborValue>()
      for (const [name, { key, codec }] of entries) {
        const held = (value as Readonly<Record<string, unknown>>)[name]
        if (held !== undefined) map.set(key, codec.build(held))
      }
      return map
    },
    parse(value, place) {
      if (!(value instanceof Map)) throw malformed(place, 'a map')
      for (const key of value.keys()) {
        if (!known.has(key as number)) throw malformed(place, `free of the unknown key ${String(key).slice(0, 20)}`)
      }
      const parsed: Record<string, unknown> = {}
      for (const [name, { key, codec, optional }] of entries) {
        const held: unknown = value.get(key)
        if (held !== undefined) parsed[name] = codec.parse(held, `${place}.${name}`)
        else if (!optional) throw malformed(`${place}.${name}`, 'there')
      }
      return parsed as StructOf<F>
    },
  }
}

type Variants = Readonly<Record<string, readonly [key: number, codec: Codec<unknown>]>>

/** One of several structs, told apart by `kind`: `{ kind: 'push', … }`. */
export type UnionOf<V extends Variants> = {
  [K in keyof V]: { readonly kind: K } & TypeOf<V[K][1]>
}[keyof V]

/** A union of structs; on the wire `[number, struct]`. */
export function union<const V extends Variants>(variants: V): Codec<UnionOf<V>> {
  const entries = Object.entries(variants) as [string, readonly [number, Codec<object>]][]
  return {
    build(value) {
      const found = entries.find(([name]) => name === value.kind)
      if (found === undefined) throw malformed('message', 'of a known kind')
      return [found[1][0], found[1][1].build(value)]
    },
    parse(value, place) {
      if (!Array.isArray(value) || value.length !== 2) throw malformed(place, 'a kind and its content')
      const found = entries.find(([, [number]]) => number === value[0])
      if (found === undefined) throw malformed(place, 'of a known kind')
      return { kind: found[0], ...found[1][1].parse(value[1], `${place}.${found[0]}`) } as UnionOf<V>
    },
  }
}
