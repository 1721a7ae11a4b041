import { type Codec, field, list, struct, uint, word } from '@ropewalk/shared/codec'
import { addressText, type Candidate, port } from './endpoint.ts'

/** Most UDP candidates of a node. */
export const MAX_CANDIDATES = 16

/** A candidate on the wire. */
export const candidate: Codec<Candidate> = struct({
  address: field(1, addressText),
  port: field(2, port),
  kind: field(3, word('host', 'reflexive', 'mapped')),
  priority: field(4, uint(65_535)),
})

/** A node's candidates on the wire. */
export const candidates = list(candidate, MAX_CANDIDATES)

/** What a NAT in front of a node does to its ports: unknown, no NAT, one port for all (easy), one per target (hard). */
export type NatClass = 'unknown' | 'none' | 'easy' | 'hard'

/** A NAT class on the wire. */
export const natClass: Codec<NatClass> = word('unknown', 'none', 'easy', 'hard')
