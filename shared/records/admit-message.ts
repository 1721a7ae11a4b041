import { bytes, decodeWith, encodeWith, field, list, struct, text, type UnionOf, union } from '@ropewalk/shared/codec'
import { MAX_BUNDLE_BYTES } from '@ropewalk/shared/membership'

/** Name of the libp2p protocol: the only one an applicant may speak. */
export const ADMIT_PROTOCOL = '/ropewalk/admit/1.0.0'

/** Most bytes of an answer. */
export const MAX_ADMIT_BYTES = 32 * 1_024

const variants = {
  /** The admission, and the bundles of the admitters between the root and the one who signed it. */
  admitted: [0, struct({ admission: field(1, bytes(1, 1_024)), chain: field(2, list(bytes(1, MAX_BUNDLE_BYTES), 8)) })],
  refused: [1, struct({ code: field(1, text(40)), message: field(2, text(500)) })],
} as const

const codec = union(variants)

/** The answer of an admitter; the request is the applicant's bundle as bytes. */
export type AdmitAnswer = UnionOf<typeof variants>

/** An answer as bytes. */
export function encodeAdmitAnswer(answer: AdmitAnswer): Uint8Array {
  return encodeWith(codec, answer)
}

/** An answer out of bytes that may be hostile. @throws RopewalkError `too-large`, `bad-input` */
export function decodeAdmitAnswer(raw: Uint8Array): AdmitAnswer {
  return decodeWith(codec, raw, MAX_ADMIT_BYTES)
}
