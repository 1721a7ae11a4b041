import { RopewalkError } from '../errors/index.ts'

/** A transport address as STUN carries it; IPv6 in its shortest text form. */
export interface StunAddress {
  readonly address: string
  readonly port: number
}

const COOKIE = [0x21, 0x12, 0xa4, 0x42] as const

/** The value of XOR-MAPPED-ADDRESS (RFC 8489 §14.2), or of MAPPED-ADDRESS where no transaction id is given. */
export function decodeAddress(value: Uint8Array, transactionId?: Uint8Array): StunAddress {
  const family = value[1]
  if (!((family === 1 && value.length === 8) || (family === 2 && value.length === 20))) {
    throw new RopewalkError('protocol-error', 'malformed STUN address')
  }
  const clear = transactionId === undefined ? value.subarray(2) : xor(value.subarray(2), transactionId)
  const port = ((clear[0] ?? 0) << 8) | (clear[1] ?? 0)
  const ip = clear.subarray(2)
  return { port, address: family === 1 ? ip.join('.') : ipv6Text(ip) }
}

/** The inverse of {@link decodeAddress}. */
export function encodeAddress({ address, port }: StunAddress, transactionId: Uint8Array): Uint8Array {
  const ip = address.includes(':') ? ipv6Bytes(address) : Uint8Array.from(address.split('.'), Number)
  const clear = Uint8Array.from([port >> 8, port & 0xff, ...ip])
  return Uint8Array.from([0, ip.length === 4 ? 1 : 2, ...xor(clear, transactionId)])
}

/** Port with the cookie's first half, address with cookie ‖ transaction id. */
function xor(value: Uint8Array, transactionId: Uint8Array): Uint8Array {
  const mask = [...COOKIE, ...transactionId]
  return value.map((byte, index) => byte ^ (mask[index < 2 ? index : index - 2] ?? 0))
}

function ipv6Text(bytes: Uint8Array): string {
  const groups: string[] = []
  for (let at = 0; at < 16; at += 2) groups.push((((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16))
  // the URL parser writes the canonical form of RFC 5952
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}

function ipv6Bytes(address: string): Uint8Array {
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0')
  const groups = [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16))
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]))
}
