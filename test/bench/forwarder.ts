import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { LabNode, World } from '../lab/index.ts'
import { makeKeyPair, type OurEnd, type SentPath, startOurs } from '../wireguard/index.ts'
import type { Bench } from './bench.ts'
import { TCP_FLOWS, tcpFlows } from './tcp-flows.ts'
import { entrant, firstAnswer, type Layer, type Track } from './tunnel.ts'

/** One side of a session; the secret is base64. */
interface Side {
  readonly slot: number
  readonly secret: string
}

/** What programs/forwarder.ts is started with. */
export interface ForwarderSession {
  readonly listen: { readonly address: string; readonly port: number }
  readonly a: Side
  readonly b: Side
}

const PROGRAM = join(import.meta.dirname, 'programs', 'forwarder.ts')
const WORLD = 'three-hosts'
const SECONDS = 4
const PORT = 51820
const DIRECT = 'direct'

/** Two devices of ours that know one way to each other: through the forwarder on the third host, or straight. */
function layer(relayed: boolean): Layer {
  return async ([from, to], world) => {
    const start = (node: LabNode, inner: string) =>
      startOurs({ node, keys: makeKeyPair(), addresses: [inner], listenPort: PORT, vanilla: false })
    const [a, b] = await Promise.all([start(from, '10.98.0.1/24'), start(to, '10.98.0.2/24')])
    const sides = relayed ? await startForwarder(world) : undefined
    const pathTo = (end: OurEnd, side: Side | undefined): SentPath => {
      const address = relayed ? world.node('c').address : end.node.address
      const session = side === undefined ? {} : { session: side }
      return { id: 1, local: 0, remote: { address, port: PORT }, costClass: 0, ...session }
    }
    const at = (end: OurEnd, side: Side | undefined) => {
      return { publicKey: end.publicKey, allowedIps: [`${end.address}/32`], paths: [pathTo(end, side)] }
    }
    await Promise.all([a.setPeer(at(b, sides?.a)), b.setPeer(at(a, sides?.b))])
    await firstAnswer(from, b.address)
    const ways = await a.paths(b.publicKey)
    if (ways.some(({ relayed: way }) => way !== relayed)) throw new Error('the flow could take another way')
    return [a, b]
  }
}

/** On the third host; gives both sides of its only session. */
async function startForwarder(world: World): Promise<{ readonly a: Side; readonly b: Side }> {
  const node = world.node('c')
  const side = (slot: number): Side => ({ slot, secret: randomBytes(32).toString('base64') })
  const session: ForwarderSession = { listen: { address: node.address, port: PORT }, a: side(1), b: side(2) }
  await node.spawn(process.execPath, [PROGRAM, JSON.stringify(session)]).says(/ready/)
  return session
}

const work = (track: Track) => tcpFlows(track, SECONDS)

/** What a tunnel loses when its packets go by a forwarder of ours, all three on this machine's cores. */
export const forwarder: Bench = {
  name: 'forwarder',
  about: 'TCP through TUN devices by a forwarder on a third host, beside the same on the direct path',
  unit: 'Gbit/s',
  cases: TCP_FLOWS,
  notes: [
    `iperf3, ${SECONDS} s a run, what arrived; the forwarder is a process of its own and takes its share of the cores`,
  ],
  entrants: async () => [entrant('ours', '', layer(true), work, WORLD), entrant(DIRECT, '', layer(false), work, WORLD)],
}
