import { OUTSIDE } from './layout.ts'
import type { NatKind } from './plan.ts'

// Rule sets for `nft -f -`, as text.

/** What a NAT router does with packets. */
export function natRules(kind: NatKind): string {
  const how = kind === 'hard' ? 'masquerade random,fully-random' : 'masquerade'
  // Dropped before it is confirmed, a packet leaves no entry behind that would take the port from the one who punches.
  const unsolicited = `iifname "${OUTSIDE}" ct state new,invalid counter drop`
  return `
table ip nat {
  chain out { type nat hook postrouting priority srcnat; policy accept
    oifname "${OUTSIDE}" ${how}
  }
}
table inet guard {
  chain in { type filter hook input priority filter; policy accept
    ${kind === 'accepted' ? '' : unsolicited}
  }
  chain through { type filter hook forward priority filter; policy accept
    ${unsolicited}
  }
}
`
}

/** The internet carries no private addresses, and nothing between two ends that {@link cutRule} has parted. */
export const internetRules = `
table inet internet {
  set private { type ipv4_addr; flags interval
    elements = { 10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16 }
  }
  set cut { type ipv4_addr . ipv4_addr; }
  set cut6 { type ipv6_addr . ipv6_addr; }
  chain through { type filter hook forward priority filter; policy accept
    ip saddr @private counter drop
    ip daddr @private counter drop
    ip saddr . ip daddr @cut counter drop
    ip6 saddr . ip6 daddr @cut6 counter drop
  }
}
`

/** Parts two addresses, or lets them meet again. */
export function cutRule(verb: 'add' | 'delete', one: string, other: string): string {
  const set = one.includes(':') ? 'cut6' : 'cut'
  return `${verb} element inet internet ${set} { ${one} . ${other}, ${other} . ${one} }\n`
}

/** What becomes of packets on their way in at one end of a cable. */
export interface Faults {
  /** Everything is lost, nobody is told. */
  readonly silent?: boolean
  /** The share of packets that is lost, 0 to 1. */
  readonly loss?: number
  /** IP packets above this length in bytes are lost, and nobody is told. */
  readonly largest?: number
}

/** Neighbours keep finding each other under every fault: a resolution that fails would be reported to the sender. */
const NEIGHBOURS = `meta protocol arp accept
    icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept`

/** Replaces the faults at one device by these, in one step. */
export function faultRules(device: string, faults: Faults): string {
  const rules = [
    ...(faults.silent ? ['counter drop'] : []),
    ...(faults.largest === undefined ? [] : [`meta length > ${faults.largest} counter drop`]),
    ...(faults.loss === undefined
      ? []
      : [`numgen random mod 100000 < ${Math.round(faults.loss * 100_000)} counter drop`]),
  ]
  const table = `netdev fault-${device}`
  const emptied = `table ${table} { }\ndelete table ${table}\n`
  if (rules.length === 0) return emptied
  return `${emptied}
table ${table} {
  chain in { type filter hook ingress device "${device}" priority filter; policy accept
    ${NEIGHBOURS}
    ${rules.join('\n    ')}
  }
}
`
}
