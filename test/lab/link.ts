import { type Capture, capture } from './capture.ts'
import type { Counters } from './counters.ts'
import type { Cable, End } from './layout.ts'
import type { OwnedNode } from './node.ts'
import { type Faults, faultRules } from './rules.ts'

/** Seen from the node that the link is named after: `out` is what it sends. */
export type Direction = 'out' | 'in' | 'both'

/** The cable between a node and what it is on. Every change holds until {@link LabLink.restore}. */
export interface LabLink {
  /** `NODE/WHAT-IT-IS-ON`. */
  readonly name: string
  /** Unplugged, the loud way: both ends lose the interface, its routes and its IPv6 addresses, and senders get an error. */
  down(): Promise<void>
  /** Broken, the silent way: both ends look well and nothing arrives. */
  silence(direction?: Direction): Promise<void>
  /** Loses this share of packets, 0 to 1. */
  loss(share: number, direction?: Direction): Promise<void>
  /** Loses IP packets longer than this, in bytes, and tells nobody. */
  blackHole(largestBytes: number, direction?: Direction): Promise<void>
  /** At most this much, each way, with a buffer of about 50 ms. */
  rate(mbit: number): Promise<void>
  /** As it was at the start. */
  restore(): Promise<void>
  /** What passed, from the near node's side: `tx` is what it sent. */
  counters(): Promise<Counters>
  /** Starts tcpdump at the near end. */
  capture(options?: { readonly filter?: string }): Promise<Capture>
}

const BUFFER_SECONDS = 0.05
const PACKET_BYTES = 1514
const LEAST_BUFFER_PACKETS = 20
const MTU = 1500

interface Ends {
  readonly near: OwnedNode
  readonly far: OwnedNode
}

/** Lays the cable between two nodes that have none yet, and plugs it in. */
export async function layCable(cable: Cable, nodes: Ends, folder: () => Promise<string>): Promise<LabLink> {
  const mtu = cable.plan.mtu ?? MTU
  const [near, far] = [cable.near.device, cable.far.device]
  const peer = `peer name ${far} mtu ${mtu} netns ${nodes.far.holderPid}`
  await nodes.near.ip([`link add ${near} mtu ${mtu} type veth ${peer}`])
  const link = new Veth(cable, nodes, folder)
  await link.restore()
  return link
}

class Veth implements LabLink {
  readonly name: string
  readonly #cable: Cable
  readonly #nodes: Ends
  readonly #folder: () => Promise<string>
  #out: Faults = {}
  #in: Faults = {}

  constructor(cable: Cable, nodes: Ends, folder: () => Promise<string>) {
    this.name = cable.name
    this.#cable = cable
    this.#nodes = nodes
    this.#folder = folder
  }

  async down(): Promise<void> {
    await this.#both((node, { device }) => node.ip([`link set ${device} down`]))
  }

  silence(direction: Direction = 'both'): Promise<void> {
    return this.#add(direction, { silent: true })
  }

  loss(share: number, direction: Direction = 'both'): Promise<void> {
    return this.#add(direction, { loss: share })
  }

  blackHole(largestBytes: number, direction: Direction = 'both'): Promise<void> {
    return this.#add(direction, { largest: largestBytes })
  }

  async rate(mbit: number): Promise<void> {
    const buffer = Math.max(LEAST_BUFFER_PACKETS, Math.round((mbit * 1e6 * BUFFER_SECONDS) / 8 / PACKET_BYTES))
    const burst = Math.max(2 * PACKET_BYTES, Math.round((mbit * 1e6) / 8 / 1000)) // a millisecond's worth
    await this.#both(async (node, { device }) => {
      await this.#segment(node, device)
      const shape = `class add dev ${device} parent 1: classid 1:1 htb rate ${mbit}mbit burst ${burst} quantum ${PACKET_BYTES}`
      await node.exec('tc', ['-batch', '-'], {
        input: [
          `qdisc replace dev ${device} root handle 1: htb default 1`,
          shape,
          `qdisc add dev ${device} parent 1:1 handle 2: pfifo limit ${buffer}`,
        ].join('\n'),
      })
    })
  }

  async restore(): Promise<void> {
    this.#out = {}
    this.#in = {}
    const { near, far } = this.#cable
    await Promise.all([
      this.#nodes.near.nft(faultRules(near.device, {})),
      this.#nodes.far.nft(faultRules(far.device, {})),
    ])
    // Both ends up before the routes: an interface without a carrier takes none.
    await this.#both((node, { device }) => node.ip([`link set ${device} up gso_max_segs 65535`]))
    await this.#both((node, end) => node.ip(end.setup))
    const { rateMbit } = this.#cable.plan
    if (rateMbit !== undefined) await this.rate(rateMbit)
    else
      await this.#both((node, { device }) =>
        node.exec('tc', ['qdisc', 'delete', 'dev', device, 'root'], { mayFail: true }),
      )
  }

  async counters(): Promise<Counters> {
    const found = (await this.#nodes.near.counters())[this.#cable.near.device]
    return found ?? { rxBytes: 0, rxPackets: 0, rxDropped: 0, txBytes: 0, txPackets: 0, txDropped: 0 }
  }

  async capture(options: { readonly filter?: string } = {}): Promise<Capture> {
    const file = `${await this.#folder()}/${this.name.replace('/', '-')}-${Date.now()}.pcap`
    return capture(this.#nodes.near, this.#cable.near.device, file, options.filter)
  }

  /** A fault is on the way in at the other end: what left its sender well is lost on the cable. */
  async #add(direction: Direction, faults: Faults): Promise<void> {
    const { near, far } = this.#cable
    if (direction !== 'in') {
      this.#out = { ...this.#out, ...faults }
      await this.#segment(this.#nodes.near, near.device)
      await this.#nodes.far.nft(faultRules(far.device, this.#out))
    }
    if (direction !== 'out') {
      this.#in = { ...this.#in, ...faults }
      await this.#segment(this.#nodes.far, far.device)
      await this.#nodes.near.nft(faultRules(near.device, this.#in))
    }
  }

  /** A veth passes segments of 64 KiB in one piece; where packets are counted or measured they must be what a wire carries. */
  #segment(node: OwnedNode, device: string): Promise<void> {
    return node.ip([`link set ${device} gso_max_segs 1`])
  }

  async #both(work: (node: OwnedNode, end: End) => Promise<unknown>): Promise<void> {
    await Promise.all([work(this.#nodes.near, this.#cable.near), work(this.#nodes.far, this.#cable.far)])
  }
}
