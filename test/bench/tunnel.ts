import { type LabNode, until, up } from '../lab/index.ts'
import { type End, type EndOptions, makeKeyPair, type Rival, startOurs, startWireguardGo } from '../wireguard/index.ts'
import type { Absent, Contender, Entrant, Round } from './bench.ts'

/** Two hosts on a wire, and the address of `to` that leads through what is to be measured. */
export interface Track {
  readonly from: LabNode
  readonly to: LabNode
  readonly address: string
  /** The tunnel's ends at `from` and `to`; none on the wire itself. */
  readonly ends: readonly End[]
}

/** What wire a tunnel is laid on, and the inner MTU; two hosts and everybody's own unless said. */
export interface Wire {
  readonly world?: string
  readonly mtu?: number
}

type Starter = (options: EndOptions) => Promise<End>

const PORT = 51820
const ANSWER_TIMEOUT_MS = 10_000

/** An entrant with a tunnel of `starter`'s between two hosts; without one, the wire itself. */
export function entrant(
  name: Contender,
  version: string,
  starter: Starter | null,
  work: (track: Track) => Promise<Round>,
  { world: plan = 'two-hosts', mtu }: Wire = {},
): Entrant {
  return {
    name,
    version,
    measure: async () => {
      await using world = await up(plan)
      const [from, to] = [world.node('a'), world.node('b')]
      if (starter === null) return await work({ from, to, address: to.address, ends: [] })
      const ends = await layTunnel(starter, [from, to], mtu)
      return await work({ from, to, address: ends[1].address, ends }) // the world must outlive the work
    },
  }
}

/** Ours, the wire, and the given rivals. */
export async function tunnelEntrants(
  rivals: readonly Promise<Rival>[],
  work: (track: Track) => Promise<Round>,
  wire: Wire = {},
): Promise<(Entrant | Absent)[]> {
  const others = (await Promise.all(rivals)).map((rival) =>
    'missing' in rival
      ? rival
      : entrant(rival.name, rival.version, (options) => startWireguardGo(rival.program, options), work, wire),
  )
  const ours = entrant('ours', '', (options) => startOurs({ ...options, vanilla: false }), work, wire)
  return [entrant('raw', '', null, work, wire), ours, ...others]
}

/** Brings both ends up, introduces them to each other and waits for the first answer. */
async function layTunnel(
  starter: Starter,
  [from, to]: readonly [LabNode, LabNode],
  mtu: number | undefined,
): Promise<readonly [End, End]> {
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
  await until(ANSWER_TIMEOUT_MS, 'the first answer through the tunnel', async () => {
    const { code } = await from.exec('ping', ['-c', '1', '-W', '0.2', b.address], { mayFail: true })
    return code === 0 ? true : null
  })
  return [a, b]
}
