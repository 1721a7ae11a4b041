import type { StockPeer } from '@ropewalk/shared/api'
import { isStock } from '@ropewalk/shared/membership'
import { type Candidate, formatEndpoint, type NodeRecord } from '@ropewalk/shared/records'
import { type Discovery, isRelay, type Member } from './discovery/index.ts'
import { MESH_MTU } from './network/index.ts'

/** What the answer of the API holds beside its version. */
export interface AdmittedStock {
  readonly network: string
  readonly addresses: string[]
  readonly mtu: number
  readonly notAfterMs: number
  readonly peers: StockPeer[]
}

/** Takes a device with another WireGuard in, and says whom it can reach. @throws RopewalkError why it is no member */
export function admitStock(discovery: Discovery, bundle: Uint8Array): AdmittedStock {
  const { addresses, admission } = discovery.accept(bundle)
  const others = [discovery.self, ...discovery.members()].filter((one) => !isStock(one) && one.state !== 'gone')
  return {
    network: discovery.network.name,
    addresses: [addresses.v6, addresses.v4],
    mtu: MESH_MTU,
    notAfterMs: admission.notAfterMs,
    peers: others.map(describe),
  }
}

function describe(member: Member): StockPeer {
  const { name, wireguardKey, addresses, record } = member
  const reachable = (record?.candidates ?? []).filter((one) => isOpen(one, record) || isRelay(member))
  const near = (record?.candidates ?? []).filter(({ kind }) => kind === 'host')
  return {
    name,
    publicKey: wireguardKey,
    addresses: [addresses.v6, addresses.v4],
    endpoint: first(reachable.filter(({ address }) => !isPrivate(address))),
    lanEndpoint: first(near),
  }
}

/** IPv4 first: a phone has it everywhere. */
function first(candidates: readonly Candidate[]): string | null {
  const found = candidates.find(({ address }) => !address.includes(':')) ?? candidates[0]
  return found === undefined ? null : formatEndpoint(found)
}

/** Whether packets get in unasked. A NAT lets in only what was spoken to first, and we cannot speak to such a device first. */
function isOpen({ kind }: Candidate, record: NodeRecord | undefined): boolean {
  return kind === 'host' || kind === 'mapped' || record?.nat === 'none'
}

/** RFC 1918, 6598, 3927 and 4193, and loopback. */
function isPrivate(address: string): boolean {
  return /^(10\.|127\.|169\.254\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|f[cd]|fe[89ab]|::1$)/.test(
    address,
  )
}
