import { type Codec, malformed } from '@ropewalk/shared/codec'

/** Most letters of a host key: an RSA key of 4,096 bits has 724. */
const MAX_LENGTH = 760
const LINE = /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) ([A-Za-z0-9+/]+={0,2})$/
/** Fewest bytes of a key: an Ed25519 one has 51. */
const MIN_BYTES = 51

/**
 * Whether a text is a public host key of sshd as `ssh_host_*.pub` has it, without a comment: `ssh-ed25519 AAAA…`. It is
 * written into the `known_hosts` of others, so nothing else may pass: no space, no line break, no marker, no option.
 */
export function isSshHostKey(text: string): boolean {
  if (text.length > MAX_LENGTH) return false
  const [, algorithm = '', encoded = ''] = LINE.exec(text) ?? []
  const blob = Buffer.from(encoded, 'base64')
  if (blob.length < MIN_BYTES || blob.toString('base64') !== encoded) return false
  // RFC 4253 §6.6: the blob begins with the algorithm's name as a string
  const inner = blob.readUInt32BE(0)
  return inner === algorithm.length && blob.toString('latin1', 4, 4 + inner) === algorithm
}

/** A host key on the wire: its text. */
export const sshHostKey: Codec<string> = {
  build: (value) => value,
  parse(value, place) {
    if (typeof value === 'string' && isSshHostKey(value)) return value
    throw malformed(place, 'a public SSH host key')
  },
}
