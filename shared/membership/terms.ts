import { addressBytes, formatAddress, type MeshAddress, type Prefix, parsePrefix } from '@ropewalk/shared/addressing'
import { bytes, type Codec, list, mapped, tag, text, uint, word } from '@ropewalk/shared/codec'
import { type Brand, MAX_TAGS, toHex } from '@ropewalk/shared/identity'

/** What an invite may grant: to be a relay, to admit others, to hire workers. */
export type Right = 'relay' | 'admit' | 'hire'

/** An invite's id: 16 random bytes as hexadecimal text. */
export type InviteId = Brand<string, 'InviteId'>

/** A certificate's name for the statements that follow it: SHA-256 of its bytes as hexadecimal text. */
export type CertificateHash = Brand<string, 'CertificateHash'>

/** An invite id of 16 bytes. */
export function inviteIdOf(raw: Uint8Array): InviteId {
  return toHex(raw) as InviteId
}

/** A certificate hash of 32 bytes. */
export function certificateHashOf(raw: Uint8Array): CertificateHash {
  return toHex(raw) as CertificateHash
}

const fromHex = (value: string): Uint8Array => new Uint8Array(Buffer.from(value, 'hex'))

/** Milliseconds since 1970 by the writer's wall clock. */
export const time: Codec<number> = uint()

/** An invite id on the wire: 16 bytes. */
export const inviteId: Codec<InviteId> = mapped(bytes(16), inviteIdOf, fromHex)

/** A certificate hash on the wire: 32 bytes. */
export const certificateHash: Codec<CertificateHash> = mapped(bytes(32), certificateHashOf, fromHex)

/** Rights on the wire: their numbers. */
export const rights: Codec<readonly Right[]> = list(word('relay', 'admit', 'hire'), 3)

/** Tags on the wire. */
export const tags = list(tag, MAX_TAGS)

/** An IPv4 address on the wire: 4 bytes. */
export const address4: Codec<MeshAddress> = mapped(bytes(4), formatAddress, addressBytes)

/** An IPv6 address on the wire: 16 bytes. */
export const address6: Codec<MeshAddress> = mapped(bytes(16), formatAddress, addressBytes)

/** An IP prefix on the wire: its canonical text. */
export const prefix: Codec<Prefix> = mapped(text(64), parsePrefix, String)
