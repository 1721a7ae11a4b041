import { RopewalkError } from '@ropewalk/shared/errors'
import { hash, type NetworkId, type NodeId, networkIdBytes, publicKeyOf } from '@ropewalk/shared/identity'
import { addressBytes, formatAddress, type MeshAddress } from './address.ts'
import { formatPrefix, type Prefix, prefixContains, prefixParts } from './prefix.ts'

/** The two addresses of a member on the mesh. */
export interface MeshAddresses {
  readonly v6: MeshAddress
  readonly v4: MeshAddress
}

/** How many IPv4 addresses a node key may try before its prefix counts as full. */
export const IPV4_TRIES = 16

/** The IPv4 prefix of a network that names none: a part of the shared address space (RFC 6598) that others use less. */
export const DEFAULT_IPV4_PREFIX = '100.88.0.0/16' as Prefix

const MIN_IPV4_LENGTH = 8
const MAX_IPV4_LENGTH = 24

/** The network's ULA /48 (RFC 4193): `fd` and 40 bits of a hash of its id. */
export function networkPrefix6(network: NetworkId): Prefix {
  return formatPrefix(Uint8Array.from([...networkPart(network), ...new Array<number>(10).fill(0)]), 48)
}

/** The IPv6 address of a node: the network's /48 and 80 bits of a hash of its key. It follows from the two; nobody allocates it. */
export function ipv6Of(network: NetworkId, node: NodeId): MeshAddress {
  const host = hash('ropewalk/ipv6-host/1', publicKeyOf(node)).subarray(0, 10)
  return formatAddress(Uint8Array.from([...networkPart(network), ...host]))
}

/** The `attempt`-th IPv4 address (0–15) a node may claim in its network's prefix; never the first or last of the prefix. */
export function ipv4Of(prefix: Prefix, node: NodeId, attempt: number): MeshAddress {
  const { bytes, length } = prefixParts(prefix)
  const hosts = 2 ** (32 - length) - 2
  const digest = hash('ropewalk/ipv4-host/1', publicKeyOf(node), Uint8Array.of(attempt))
  const host = 1 + (Buffer.from(digest).readUIntBE(0, 6) % hosts)
  const address = Buffer.from(bytes).readUInt32BE(0) + host
  const out = Buffer.alloc(4)
  out.writeUInt32BE(address)
  return formatAddress(out)
}

/** Whether a node may hold this IPv4 address at all: one of its {@link IPV4_TRIES} in the prefix. */
export function mayHoldIpv4(prefix: Prefix, node: NodeId, address: MeshAddress): boolean {
  if (addressBytes(address).length !== 4 || !prefixContains(prefix, address)) return false
  return Array.from({ length: IPV4_TRIES }, (_, i) => ipv4Of(prefix, node, i)).includes(address)
}

/** Checks a prefix for use as a network's IPv4 prefix: IPv4, /8 to /24. @throws RopewalkError `bad-config` */
export function checkNetworkPrefix4(prefix: Prefix): Prefix {
  const { bytes, length } = prefixParts(prefix)
  if (bytes.length !== 4 || length < MIN_IPV4_LENGTH || length > MAX_IPV4_LENGTH) {
    throw new RopewalkError('bad-config', `${prefix} cannot be a network's IPv4 prefix`, {
      hint: `take an IPv4 prefix from /${MIN_IPV4_LENGTH} to /${MAX_IPV4_LENGTH}, for instance ${DEFAULT_IPV4_PREFIX}`,
    })
  }
  return prefix
}

function networkPart(network: NetworkId): Uint8Array {
  return Uint8Array.from([0xfd, ...hash('ropewalk/ula/1', networkIdBytes(network)).subarray(0, 5)])
}
