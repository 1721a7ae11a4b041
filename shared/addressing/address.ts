import { RopewalkError } from '@ropewalk/shared/errors'
import type { Brand } from '@ropewalk/shared/identity'

/** An IP address in its canonical text (RFC 5952 for IPv6), as members have it on the mesh. */
export type MeshAddress = Brand<string, 'MeshAddress'>

/** An IP address out of text, IPv4 or IPv6 without a zone, made canonical. @throws RopewalkError `bad-input` */
export function parseAddress(text: string): MeshAddress {
  return formatAddress(addressBytes(text))
}

/** Whether a text is an IP address. */
export function isAddress(text: string): boolean {
  return decode(text) !== undefined
}

/** The 4 or 16 bytes of an address. @throws RopewalkError `bad-input` */
export function addressBytes(text: string): Uint8Array {
  const bytes = decode(text)
  if (bytes === undefined) throw new RopewalkError('bad-input', `“${text.slice(0, 80)}” is not an IP address`)
  return bytes
}

/** The canonical text of 4 or 16 bytes. @throws RopewalkError `bad-input` for another length */
export function formatAddress(bytes: Uint8Array): MeshAddress {
  if (bytes.length === 4) return bytes.join('.') as MeshAddress
  if (bytes.length !== 16) throw new RopewalkError('bad-input', 'An IP address has 4 or 16 bytes')
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0))
  const { start, length } = longestZeros(groups)
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':')
  if (length < 2) return text(groups) as MeshAddress
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}` as MeshAddress
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (groups[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  return best
}

const MAX_TEXT = 45

function decode(text: string): Uint8Array | undefined {
  if (text.length > MAX_TEXT) return undefined
  return text.includes(':') ? decodeIpv6(text) : decodeIpv4(text)
}

function decodeIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
    return undefined
  return Uint8Array.from(parts, Number)
}

function decodeIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const [head, tail] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const front = groupBytes(head ?? [], halves.length === 1)
  const back = groupBytes(tail ?? [], true)
  if (front === undefined || back === undefined) return undefined
  const missing = 16 - front.length - back.length
  if (halves.length === 2 ? missing < 2 : missing !== 0) return undefined
  return Uint8Array.from([...front, ...new Array<number>(missing).fill(0), ...back])
}

function groupBytes(groups: readonly string[], endsAddress: boolean): number[] | undefined {
  const bytes: number[] = []
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16)
      bytes.push(value >> 8, value & 0xff)
      continue
    }
    const embedded = endsAddress && index === groups.length - 1 ? decodeIpv4(group) : undefined
    if (embedded === undefined) return undefined
    bytes.push(...embedded)
  }
  return bytes
}
