import { RopewalkError } from '@ropewalk/shared/errors'
import type { Brand } from '@ropewalk/shared/identity'
import { addressBytes, formatAddress } from './address.ts'

/** An IP prefix in canonical text, `100.88.0.0/16` or `fd00::/48`; host bits are zero. */
export type Prefix = Brand<string, 'Prefix'>

/** A prefix in parts. */
export interface PrefixParts {
  /** 4 or 16 bytes with host bits zero. */
  readonly bytes: Uint8Array
  /** Length in bits. */
  readonly length: number
}

/** A prefix out of text; a bare address is a prefix of its whole length. @throws RopewalkError `bad-input`, also for host bits that are set */
export function parsePrefix(text: string): Prefix {
  const [address = '', length, more] = text.slice(0, 64).split('/')
  const bytes = addressBytes(address)
  const bits = length === undefined ? bytes.length * 8 : /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN
  if (more !== undefined || !(bits <= bytes.length * 8)) {
    throw new RopewalkError('bad-input', `“${text.slice(0, 80)}” is not an IP prefix`)
  }
  const network = masked(bytes, bits)
  if (Buffer.compare(network, bytes) !== 0) {
    throw new RopewalkError('bad-input', `“${text.slice(0, 80)}” has host bits set`, {
      hint: `write ${formatAddress(network)}/${bits}`,
    })
  }
  return formatPrefix(bytes, bits)
}

/** The canonical text of a prefix; host bits are cleared. */
export function formatPrefix(bytes: Uint8Array, length: number): Prefix {
  return `${formatAddress(masked(bytes, length))}/${length}` as Prefix
}

/** The parts of a prefix. */
export function prefixParts(prefix: Prefix): PrefixParts {
  const [address = '', length] = prefix.split('/')
  return { bytes: addressBytes(address), length: Number(length) }
}

/** Whether an address lies in a prefix; false across families. */
export function prefixContains(prefix: Prefix, address: string): boolean {
  const { bytes, length } = prefixParts(prefix)
  const candidate = addressBytes(address)
  return candidate.length === bytes.length && Buffer.compare(masked(candidate, length), bytes) === 0
}

/** Whether two prefixes share an address; false across families. */
export function prefixesOverlap(a: Prefix, b: Prefix): boolean {
  const [one, two] = [prefixParts(a), prefixParts(b)]
  if (one.bytes.length !== two.bytes.length) return false
  const shorter = Math.min(one.length, two.length)
  return Buffer.compare(masked(one.bytes, shorter), masked(two.bytes, shorter)) === 0
}

function masked(bytes: Uint8Array, length: number): Uint8Array {
  return bytes.map((byte, i) => byte & (0xff << (8 - Math.max(0, Math.min(8, length - 8 * i)))))
}
