import { RopewalkError } from '@ropewalk/shared/errors'
import { fromBase32, toBase32 } from './base32.ts'
import type { Brand } from './brand.ts'

/** A network's id: SHA-256 of its first network statement as base32, 52 letters. */
export type NetworkId = Brand<string, 'NetworkId'>

const NETWORK_ID_BYTES = 32

/** The network id of a hash of 32 bytes. @throws RopewalkError `bad-input` for another length */
export function networkIdOf(digest: Uint8Array): NetworkId {
  if (digest.length !== NETWORK_ID_BYTES) throw new RopewalkError('bad-input', 'A network id has 32 bytes')
  return toBase32(digest) as NetworkId
}

/** A network id out of text. @throws RopewalkError `bad-input` */
export function parseNetworkId(text: string): NetworkId {
  if (text.length !== 52 || fromBase32(text)?.length !== NETWORK_ID_BYTES) {
    throw new RopewalkError('bad-input', 'That is not a network id')
  }
  return text as NetworkId
}

/** The 32 bytes behind a network id. */
export function networkIdBytes(id: NetworkId): Uint8Array {
  const bytes = fromBase32(id)
  if (bytes === undefined) throw new RopewalkError('bad-input', 'That is not a network id')
  return bytes
}
