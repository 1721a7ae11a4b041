export { addressBytes, formatAddress, isAddress, type MeshAddress, parseAddress } from './address.ts'
export {
  checkNetworkPrefix4,
  DEFAULT_IPV4_PREFIX,
  IPV4_TRIES,
  ipv4Of,
  ipv6Of,
  type MeshAddresses,
  mayHoldIpv4,
  networkPrefix6,
} from './overlay.ts'
export {
  formatPrefix,
  type Prefix,
  type PrefixParts,
  parsePrefix,
  prefixContains,
  prefixesOverlap,
  prefixParts,
} from './prefix.ts'
