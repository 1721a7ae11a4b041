import { bytes, decodeWith, encodeWith, field, maybe, struct } from '@ropewalk/shared/codec'
import { RopewalkError } from '@ropewalk/shared/errors'
import { MAX_BUNDLE_BYTES } from './limits.ts'

/** What a node shows to belong: statements as bytes, not yet verified. A joiner has no admission yet. */
export interface Bundle {
  readonly certificate: Uint8Array
  readonly invite: Uint8Array
  readonly admission?: Uint8Array | undefined
  /**
   * Of a node that may admit others: its first admission, which goes back to the root in few steps. Renewals of two
   * admitters by each other would leave a newcomer no way to trust either.
   */
  readonly anchor?: Uint8Array | undefined
}

const statement = bytes(1, 1_024)
const codec = struct({
  certificate: field(1, statement),
  invite: field(2, statement),
  admission: maybe(3, statement),
  anchor: maybe(4, statement),
})

/** A bundle as bytes, at most {@link MAX_BUNDLE_BYTES}. @throws RopewalkError `too-large` */
export function encodeBundle(bundle: Bundle): Uint8Array {
  const encoded = encodeWith(codec, bundle)
  if (encoded.length > MAX_BUNDLE_BYTES) throw new RopewalkError('too-large', 'The certificate bundle is over 2 KiB')
  return encoded
}

/** A bundle out of bytes that may be hostile; nothing is verified yet. @throws RopewalkError `too-large`, `bad-input` */
export function decodeBundle(raw: Uint8Array): Bundle {
  return decodeWith(codec, raw, MAX_BUNDLE_BYTES)
}
