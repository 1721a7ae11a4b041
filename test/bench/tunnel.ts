import { type LabNode, until, up, type World } from '../lab/index.ts'
import {
  type End,
  type EndOptions,
  makeKeyPair,
  type OurEnd,
  type Rival,
  startOurs,
  startWireguardGo,
} from '../wireguard/index.ts'
import type { Absent, Contender, Entrant, Round } from './bench.ts'

/** Two hosts on a wire, and the address of `to` that leads through what is to be measured. */
export interface Track {
  readonly from: LabNode
  readonly to: LabNode
  readonly address: string
  /** The tunnel's ends at `from` and `to`; none on the wire itself. */
  readonly ends: readonly Reached[]
}

/** A running end: its process, and its address within the tunnel. */
export type Reached = Pick<End, 'process' | 'address'>

/** What wire a tunnel is laid on, and the inner MTU; two hosts and everybody's own unless said. */
export interface Wire {
  readonly world?: string
  readonly mtu?: number
}

/** Brings both ends of a tunnel up between two hosts, and returns when packets pass. */
export type Layer = (hosts: readonly [LabNode, LabNode], world: World) => Promise<readonly [Reached, Reached]>

type WireguardLayer<E extends End> = (hosts: readonly [LabNode, LabNode]) => Promise<readonly [E, E]>
type Starter<E extends End> = (options: EndOptions) => Promise<E>
type Work = (track: Track) => Promise<Round>

const PORT = 51820
const ANSWER_TIMEOUT_MS = 10_000

/** An entrant with a tunnel between two hosts; without one, the wire itself. */
export function entrant(
  name: Contender,
  version: string,
  layer: Layer | null,
  work: Work,
  plan = 'two-hosts',
): Entrant {
  return {
    name,
    version,
    measure: async () => {
      await using world = await up(plan)
      const [from, to] = [world.node('a'), world.node('b')]
      if (layer === null) return await work({ from, to, address: to.address, ends: [] })
      const ends = await layer([from, to], world)
      return await work({ from, to, address: ends[1].address, ends }) // the world must outlive the work
    },
  }
}

/** Ours, the wire, and the given rivals, which are set up by `wg`. */
export async function tunnelEntrants(
  rivals: readonly Promise<Rival>[],
  work: Work,
  { world, mtu }: Wire = {},
): Promise<(Entrant | Absent)[]> {
  const others = (await Promise.all(rivals)).map((rival) => {
    if ('missing' in rival) return rival
    const layer = wireguard((options) => startWireguardGo(rival.program, options), mtu ?? rival.mtu)
    return entrant(rival.name, rival.version, layer, work, world)
  })
  return [entrant('raw', '', null, work, world), entrant('ours', '', ours(mtu), work, world), ...others]
}

/** Two devices of ours. */
export function ours(mtu?: number): WireguardLayer<OurEnd> {
  return wireguard((options) => startOurs({ ...options, vanilla: false }), mtu)
}

/** Two ends of WireGuard that are introduced to each other. */
function wireguard<E extends End>(starter: Starter<E>, mtu: number | undefined): WireguardLayer<E> {
  return async ([from, to]) => {
    const start = (node: LabNode, address: string) =>
      starter({
        node,
        keys: makeKeyPair(),
        addresses: [address],
        listenPort: PORT,
        ...(mtu === undefined ? {} : { mtu }),
      })
    const [a, b] = await Promise.all([start(from, '10.98.0.1/24'), start(to, '10.98.0.2/24')])
    const at = (end: End) => ({
      publicKey: end.publicKey,
      allowedIps: [`${end.address}/32`],
      endpoint: { address: end.node.address, port: PORT },
    })
    await Promise.all([a.setPeer(at(b)), b.setPeer(at(a))])
    await firstAnswer(from, b.address)
    return [a, b]
  }
}

/** Waits until a ping comes back. */
export async function firstAnswer(from: LabNode, address: string): Promise<void> {
  await until(ANSWER_TIMEOUT_MS, 'the first answer through the tunnel', async () => {
    const { code } = await from.exec('ping', ['-c', '1', '-W', '0.2', address], { mayFail: true })
    return code === 0 ? true : null
  })
}
