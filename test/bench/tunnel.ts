import { type LabNode, until, up } from '../lab/index.ts'
import { type End, type EndOptions, makeKeyPair, type Rival, startOurs, startWireguardGo } from '../wireguard/index.ts'
import type { Absent, Contender, Entrant, Round } from './bench.ts'

/** Two hosts on a wire, and the address of `to` that leads through what is to be measured. */
export interface Track {
  readonly from: LabNode
  readonly to: LabNode
  readonly address: string
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
): Entrant {
  return {
    name,
    version,
    measure: async () => {
      await using world = await up('two-hosts')
      const [from, to] = [world.node('a'), world.node('b')]
      if (starter === null) return await work({ from, to, address: to.address })
      const address = await layTunnel(starter, from, to)
      return await work({ from, to, address }) // the world must outlive the work
    },
  }
}

/** Ours, the wire, and the given rivals. */
export async function tunnelEntrants(
  rivals: readonly Promise<Rival>[],
  work: (track: Track) => Promise<Round>,
): Promise<(Entrant | Absent)[]> {
  const others = (await Promise.all(rivals)).map((rival) =>
    'missing' in rival
      ? rival
      : entrant(rival.name, rival.version, (options) => startWireguardGo(rival.program, options), work),
  )
  const ours = entrant('ours', '', (options) => startOurs({ ...options, vanilla: false }), work)
  return [entrant('raw', '', null, work), ours, ...others]
}

/** Brings both ends up, introduces them to each other and waits for the first answer. Returns the far inner address. */
async function layTunnel(starter: Starter, from: LabNode, to: LabNode): Promise<string> {
  const [a, b] = await Promise.all(
    [from, to].map((node, index) =>
      starter({ node, keys: makeKeyPair(), addresses: [`10.98.0.${index + 1}/24`], listenPort: PORT }),
    ),
  )
  if (a === undefined || b === undefined) throw new Error('a tunnel has two ends')
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
  return b.address
}
