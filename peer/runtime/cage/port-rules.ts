import { BLOCK_PORTS, CLIENT_PORTS, type LeaseId } from '@ropewalk/shared/runtime'

/** What the port rules of a lease depend on. */
export interface PortRules {
  readonly table: string
  /** First port of its block. */
  readonly ports: number
  /** Name of the mesh's interface. */
  readonly mesh: string
  /** The lease's own user; null where leases share one. */
  readonly user: number | null
  /** How nftables calls its control group of version 2; null where there is none. */
  readonly group: string | null
}

/** Name of a lease's nftables table. */
export function tableName(id: LeaseId): string {
  return `ropewalk-lease-${id.slice(0, 8)}`
}

const CALL = 'tcp flags & (syn | ack) == syn'
const ANSWER = 'tcp flags & (syn | ack) == syn | ack'
/** Before the chains of others at `filter`. A drop is final, an accept leaves the decision to those. */
const PRIORITY = 'filter - 5'
/** Whom a lease may call on this machine outside of its block: name servers, and what it opened itself on a free port. */
const NEAR = `53, ${CLIENT_PORTS.join('-')}, 32768-65535`
const FAMILIES = [
  { ip: 'ip', set: '4', type: 'ipv4_addr' },
  { ip: 'ip6', set: '6', type: 'ipv6_addr' },
] as const

/**
 * The rules for `nft -f`. Much of Ray listens on all interfaces whatever one says, and what a job opens nobody knows
 * before: from outside of the mesh all that is closed, silently. On the mesh's interface the engine's filter decides. On
 * `lo` only the lease itself and root reach the lease, and the lease no service of this machine.
 */
export function portRules(rules: PortRules): string {
  const { table, group, user } = rules
  const outward = [...(group === null ? [] : asking(group)), ...(user === null ? [] : outgoing(rules, user))]
  return `table inet ${table}
delete table inet ${table}
table inet ${table} {
${(group === null ? [] : [...FAMILIES.flatMap(memory), ...listening()]).join('\n')}
  chain in { type filter hook input priority ${PRIORITY}; policy accept;
    ${incoming(rules).join('\n    ')}
  }
  chain out { type filter hook output priority ${PRIORITY}; policy accept;
    ${outward.join('\n    ')}
  }
}
`
}

/** What the lease asked by UDP (answers may come in), and who on this machine called it and may. */
function memory({ set, type }: (typeof FAMILIES)[number]): string[] {
  const kind = 'flags dynamic, timeout; size 16384'
  return [
    `  set asked${set} { type ${type} . inet_service . inet_service; ${kind}; timeout 2m; }`,
    `  set called${set} { type ${type} . inet_service . ${type} . inet_service; ${kind}; timeout 10s; }`,
  ]
}

function incoming({ ports, mesh, user, group }: PortRules): string[] {
  const block = `iifname != "lo" meta l4proto { tcp, udp } th dport ${ports}-${ports + BLOCK_PORTS - 1} drop`
  if (group === null) return [`iifname "${mesh}" accept`, block]
  const where = user === null ? 'iifname != "lo" ' : ''
  // One look for a socket in each packet that may begin something: bulk traffic of others passes here as well.
  const first = [CALL, 'meta l4proto udp'].map((what) => `${where}${what} ${socket(group)} jump listening`)
  return [`iifname "${mesh}" accept`, block, ...first]
}

/** What becomes of packets to the lease's sockets, whatever port they are on. */
function listening(): string[] {
  const known = FAMILIES.flatMap(({ ip, set }) => [
    `    ${ip} saddr . udp sport . udp dport @asked${set} accept`,
    `    iifname "lo" meta l4proto { tcp, udp } ${ip} saddr . th sport . ${ip} daddr . th dport @called${set} accept`,
  ])
  return ['  chain listening {', ...known, '    drop', '  }']
}

function socket(group: string): string {
  // Level 1: right below the root of the hierarchy.
  return `socket cgroupv2 level 1 "${group}"`
}

function asking(group: string): string[] {
  return FAMILIES.map(({ ip, set }) => `${socket(group)} update @asked${set} { ${ip} daddr . udp dport . udp sport }`)
}

function outgoing({ ports, mesh, group }: PortRules, user: number): string[] {
  const block = `${ports}-${ports + BLOCK_PORTS - 1}`
  const may = `oifname "lo" meta skuid { 0, ${user} }`
  const called = FAMILIES.flatMap(({ ip, set }) => [
    `${may} ${CALL} update @called${set} { ${ip} saddr . tcp sport . ${ip} daddr . tcp dport }`,
    `${may} update @called${set} { ${ip} saddr . udp sport . ${ip} daddr . udp dport }`,
  ])
  return [
    `oifname "lo" meta l4proto { tcp, udp } th dport ${block} meta skuid != { 0, ${user} } drop`,
    // told at once: what Ray looks for there by itself, as a Prometheus, it would else wait for
    `oifname "lo" meta skuid ${user} ${CALL} tcp dport != { ${block}, ${NEAR} } reject with tcp reset`,
    `oifname "lo" meta skuid ${user} udp dport != { ${block}, ${NEAR} } drop`,
    ...(group === null ? [] : called),
    // Where no control group tells whose a listening socket is, its answers do.
    `oifname != { "lo", "${mesh}" } meta skuid ${user} ${ANSWER} drop`,
  ]
}
