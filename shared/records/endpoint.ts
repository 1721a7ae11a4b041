import { type MeshAddress, parseAddress } from '@ropewalk/shared/addressing'
import { type Codec, field, mapped, struct, text, uint } from '@ropewalk/shared/codec'

/** An address and a UDP or TCP port. */
export interface Endpoint {
  /** Canonical IP text without a zone. */
  readonly address: MeshAddress
  readonly port: number
}

/** Where a UDP candidate comes from. */
export type CandidateKind = 'host' | 'reflexive' | 'mapped'

/** An address under which a node's engine may be reached. */
export interface Candidate extends Endpoint {
  readonly kind: CandidateKind
  /** Higher is tried first, 0–65535. */
  readonly priority: number
}

/** Canonical IP text on the wire. */
export const addressText: Codec<MeshAddress> = mapped(text(45), parseAddress, String)

/** A port on the wire, 1–65535. */
export const port: Codec<number> = uint(65_535, 1)

/** An endpoint on the wire. */
export const endpoint: Codec<Endpoint> = struct({ address: field(1, addressText), port: field(2, port) })

/** `203.0.113.7:4000` or `[2001:db8::7]:4000`. */
export function formatEndpoint({ address, port }: { readonly address: string; readonly port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
