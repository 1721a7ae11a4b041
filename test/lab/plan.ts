/** How a NAT router behaves.
 *  - `easy`: keeps the port where it can, lets in only what answers (address and port), drops what nobody asked for.
 *  - `accepted`: as `easy`, but takes in what nobody asked for and answers "port unreachable", as many home routers do. The
 *    entry this leaves in its table occupies the port and defeats punching until it times out.
 *  - `hard`: another random port for each destination.
 *  - `short`: as `easy`, and forgets a UDP flow after {@link SHORT_UDP_TIMEOUT_SECONDS}. */
export type NatKind = 'easy' | 'accepted' | 'hard' | 'short'

/** How long a `short` NAT remembers a silent UDP flow. */
export const SHORT_UDP_TIMEOUT_SECONDS = 3

/** What a cable is like from the start; faults come and go on top of it. */
export interface CablePlan {
  /** Both ways, in Mbit/s; unlimited unless said. */
  readonly rateMbit?: number
  /** In bytes; 1500 unless said. */
  readonly mtu?: number
}

/** One node of a world. Every node is a network namespace of its own. */
export type NodePlan =
  /** Routes between all that are on it; each gets a public prefix of its own. Private addresses do not pass. */
  | { readonly kind: 'internet' }
  /** One LAN without a way out, IPv4 and IPv6. `lan` is the first three bytes of its IPv4 addresses, `10.20.0` unless said. */
  | { readonly kind: 'switch'; readonly lan?: string }
  /** A router with NAT: its outside is on `on`, its inside is a LAN. Two in a row make a carrier's NAT.
   *  `lan` is the first three bytes of its LAN, `192.168.1` unless said, as in most homes: addresses of different LANs collide. */
  | {
      readonly kind: 'nat'
      readonly nat: NatKind
      readonly on: string
      readonly lan?: string
      readonly cable?: CablePlan
    }
  /** A machine: also has processes, mounts, /etc, /run and a name of its own. On several, the first is its default way out. */
  | { readonly kind: 'host'; readonly on: string | readonly string[]; readonly cable?: CablePlan }

/** A world: a name, a sentence, and its nodes by name. */
export interface WorldPlan {
  readonly name: string
  readonly about: string
  readonly nodes: Readonly<Record<string, NodePlan>>
}
