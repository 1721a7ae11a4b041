import { LabError } from './error.ts'
import type { CablePlan, NatKind, NodePlan, WorldPlan } from './plan.ts'

/** One end of a cable: a network interface of a node. */
export interface End {
  readonly node: string
  readonly device: string
  /** Its addresses with prefix lengths; none when it is a port of the node's bridge. */
  readonly addresses: readonly string[]
  /** Lines for `ip -batch` that give back what a fault may have taken: addresses and routes, all by `replace`. */
  readonly setup: readonly string[]
}

/** A cable between a node and what it is on. */
export interface Cable {
  /** `NODE/WHAT-IT-IS-ON`. */
  readonly name: string
  readonly near: End
  readonly far: End
  readonly plan: CablePlan
}

/** A node with what is particular to its kind. */
export interface Place {
  readonly name: string
  readonly kind: NodePlan['kind']
  readonly nat?: NatKind
  /** Lines for `ip -batch` before the cables come: bridges. */
  readonly setup: readonly string[]
}

/** Everything that must be said to the kernel to make a world, worked out before anything is made. */
export interface Layout {
  readonly places: readonly Place[]
  readonly cables: readonly Cable[]
}

/** The bridge of a switch, or of the inside of a NAT router. */
export const BRIDGE = 'lan'
/** The outside of a NAT router. */
export const OUTSIDE = 'wan'

// Addresses that programs take for public. Those for documentation and benchmarks they rightly refuse to believe in, and
// nothing from here can leave its namespaces.
const PUBLIC_V4 = '89.44'
const PUBLIC_V6 = '2a0d:3dc0:0'
const HOME = '192.168.1'
const SWITCHED = '10.20.0'
const FIRST_HOST = 10

/** Works out names, addresses and routes. Throws when the plan makes no sense. */
export function layOut(world: WorldPlan): Layout {
  const cables: Cable[] = []
  const used = new Map<string, number>()
  for (const [name, plan] of Object.entries(world.nodes)) {
    const ways = plan.kind === 'host' ? [plan.on].flat() : plan.kind === 'nat' ? [plan.on] : []
    ways.forEach((parent, index) => {
      const above = world.nodes[parent]
      if (above === undefined || above.kind === 'host') throw new LabError(`${name} cannot be on ${parent}`)
      if (above.kind === 'nat' && plan.kind === 'nat' && (plan.lan ?? HOME) === (above.lan ?? HOME)) {
        throw new LabError(`${name} has the same LAN inside and outside`)
      }
      const nth = used.get(parent) ?? 0
      used.set(parent, nth + 1)
      const device = plan.kind === 'nat' ? OUTSIDE : `eth${index}`
      const metric = 100 * (index + 1)
      const cable = 'cable' in plan ? (plan.cable ?? {}) : {}
      cables.push({
        name: `${name}/${parent}`,
        plan: cable,
        ...ends({ name, device, metric, parent, above, nth, plan }),
      })
    })
  }
  return { places: Object.entries(world.nodes).map(([name, plan]) => place(name, plan)), cables }
}

interface Joint {
  readonly name: string
  readonly device: string
  readonly metric: number
  readonly parent: string
  readonly above: NodePlan
  readonly nth: number
  readonly plan: NodePlan
}

function ends(joint: Joint): { near: End; far: End } {
  const { name, device, metric, parent, above, nth, plan } = joint
  const port = `port${nth}`
  const near = (addresses: string[], gateways: string[]): End => {
    const routes = gateways.map((gateway) => `route replace default via ${gateway} dev ${device} metric ${metric}`)
    return { node: name, device, addresses, setup: [...addresses.map((each) => addressLine(each, device)), ...routes] }
  }
  const bridged: End = { node: parent, device: port, addresses: [], setup: [`link set ${port} master ${BRIDGE}`] }
  if (above.kind === 'internet') {
    const v6 = plan.kind === 'host' // home routers here are IPv4 only, the harder case
    const own = [`${PUBLIC_V4}.${nth}.2/24`, ...(v6 ? [`${PUBLIC_V6}:${nth}::2/64`] : [])]
    const theirs = [`${PUBLIC_V4}.${nth}.1/24`, ...(v6 ? [`${PUBLIC_V6}:${nth}::1/64`] : [])]
    const far = { node: parent, device: port, addresses: theirs, setup: theirs.map((each) => addressLine(each, port)) }
    return { near: near(own, theirs.map(withoutPrefix)), far }
  }
  if (above.kind === 'nat') {
    const lan = above.lan ?? HOME
    return { near: near([`${lan}.${FIRST_HOST + nth}/24`], [`${lan}.1`]), far: bridged }
  }
  const lan = 'lan' in above ? (above.lan ?? SWITCHED) : SWITCHED
  const v6 = lan === SWITCHED ? 'fd20' : `fd20:${lan.split('.').at(-1)}`
  return { near: near([`${lan}.${nth + 1}/24`, `${v6}::${(nth + 1).toString(16)}/64`], []), far: bridged }
}

function addressLine(address: string, device: string): string {
  // Without duplicate address detection: it would keep an IPv6 address unusable for two seconds.
  return `address replace ${address} dev ${device}${address.includes(':') ? ' nodad' : ''}`
}

function place(name: string, plan: NodePlan): Place {
  const bridge = [`link add ${BRIDGE} type bridge`, `link set ${BRIDGE} up`]
  if (plan.kind === 'nat') {
    return {
      name,
      kind: plan.kind,
      nat: plan.nat,
      setup: [...bridge, `address add ${plan.lan ?? HOME}.1/24 dev ${BRIDGE}`],
    }
  }
  return { name, kind: plan.kind, setup: plan.kind === 'switch' ? bridge : [] }
}

/** An address without its prefix length. */
export function withoutPrefix(address: string): string {
  return address.replace(/\/.*/, '')
}
