import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'
import { type MeshAddress, parseAddress } from '@ropewalk/shared/addressing'
import { type Candidate, MAX_CANDIDATES, type NatClass } from '@ropewalk/shared/records'
import type { SocketInfo } from 'node-wireguard'
import type { Member } from '../discovery/index.ts'
import { type LocalAddress, type LocalAddressOptions, localAddresses } from './local-addresses.ts'
import { ReflexiveAddresses, type StunServer } from './reflexive.ts'

/** Host candidates are tried first: on one LAN they are the shortest way. IPv6 before IPv4: no NAT to punch. */
const PRIORITY = { host6: 400, host4: 300, reflexive6: 200, reflexive4: 100 } as const

export interface OwnCandidatesOptions extends LocalAddressOptions {
  readonly sockets: readonly SocketInfo[]
}

export interface OwnCandidatesDependencies {
  readonly networkInterfaces: () => NodeJS.Dict<NetworkInterfaceInfo[]>
  readonly sendStun: (socket: number, to: { address: string; port: number }, bytes: Uint8Array) => void
}

/** Knows under which UDP addresses this node may be reached: its own, and those that relays see. */
export class OwnCandidates {
  readonly #options: OwnCandidatesOptions
  readonly #deps: OwnCandidatesDependencies
  readonly #reflexive: ReflexiveAddresses
  #local: readonly LocalAddress[] = []
  #servers = ''

  constructor(options: OwnCandidatesOptions, dependencies: OwnCandidatesDependencies) {
    this.#options = options
    this.#deps = dependencies
    this.#reflexive = new ReflexiveAddresses(dependencies.sendStun)
    this.refreshLocal()
  }

  /** Looks at this machine's interfaces again. True when its addresses have changed: everybody is asked anew then. */
  refreshLocal(nowMs = 0): boolean {
    const before = JSON.stringify(this.#local)
    this.#local = localAddresses(this.#deps.networkInterfaces(), this.#options)
    const changed = JSON.stringify(this.#local) !== before
    if (changed) this.#reflexive.restart(nowMs)
    return changed
  }

  /** Whether packets of a family can leave this machine at all. */
  speaks(family: 4 | 6): boolean {
    return this.#local.some((local) => local.family === family)
  }

  /** Whether this node lives on loopback (a demo, a test). */
  get onLoopback(): boolean {
    return this.#options.only?.includes('lo') === true
  }

  /** Sets whom to ask for our reflexive addresses. */
  setServers(servers: readonly StunServer[], nowMs: number): void {
    const key = JSON.stringify(servers)
    if (key === this.#servers) return
    this.#servers = key
    const sockets = this.#options.sockets.map(({ id, address }) => ({ id, family: familyOf(address) }))
    this.#reflexive.configure(sockets, servers, nowMs)
  }

  /** Sends what is due; returns when to be called again. */
  poll(nowMs: number): number | undefined {
    return this.#reflexive.poll(nowMs)
  }

  /** Takes a STUN message that came to a socket. True when our candidates have changed. */
  receive(socket: number, from: { address: string; port: number }, bytes: Uint8Array, nowMs: number): boolean {
    return this.#reflexive.receive(socket, from, bytes, nowMs)
  }

  /** What the record says: best first, at most sixteen. */
  list(nowMs: number): Candidate[] {
    const found: Candidate[] = []
    const add = (address: MeshAddress, port: number, kind: Candidate['kind'], priority: number) => {
      if (found.some((one) => one.address === address && one.port === port)) return
      found.push({ address, port, kind, priority })
    }
    for (const { address, family } of this.#local) {
      const socket = this.#options.sockets.find((one) => familyOf(one.address) === family)
      if (socket === undefined) continue
      add(parseAddress(address), socket.port, 'host', family === 6 ? PRIORITY.host6 : PRIORITY.host4)
    }
    for (const { address, port } of this.#reflexive.addresses(nowMs)) {
      const priority = address.includes(':') ? PRIORITY.reflexive6 : PRIORITY.reflexive4
      add(parseAddress(address), port, 'reflexive', priority)
    }
    return found.sort((a, b) => b.priority - a.priority).slice(0, MAX_CANDIDATES)
  }

  natClass(): NatClass {
    return this.#reflexive.natClass(new Set(this.#local.map(({ address }) => address)))
  }
}

/** IPv4 or IPv6, by an address's text. */
export function familyOf(address: string): 4 | 6 {
  return address.includes(':') ? 6 : 4
}

/** The STUN servers of the relays that are not known to be gone. A name that does not resolve is left out this time. */
export async function stunServers(relays: readonly Member[]): Promise<StunServer[]> {
  const lists = await Promise.all(
    relays.map(async ({ name, record }): Promise<StunServer[]> => {
      if (record?.relay === undefined) return []
      const host = new URL(record.relay.url).hostname.replace(/^\[|\]$/g, '')
      const port = record.relay.udpPort
      if (isIP(host) > 0) return [{ name, address: host, port }]
      const addresses = await lookup(host, { all: true }).catch(() => [])
      return addresses.slice(0, 4).map(({ address }) => ({ name, address, port }))
    }),
  )
  return lists.flat()
}
