import { setTimeout as passed } from 'node:timers/promises'
import { LabError, type LabNode, until, up, type World } from '../lab/index.ts'
import { makeKeyPair, type OurEnd, type SentPath, startOurs } from '../wireguard/index.ts'
import { type Arrivals, startArrivals } from './arrivals.ts'
import type { Bench, Figure, Round } from './bench.ts'
import { median } from './report.ts'
import { firstAnswer } from './tunnel.ts'

const WORLD = 'two-ways'
const PORT = 51820
const PROTOCOLS = ['tcp', 'udp'] as const
/** Fewer only to try the bench itself. */
const TRIALS = Number(process.env.ROPEWALK_TRIALS ?? 100)
/** How long a trial watches after the cut: far longer than what may be. */
const WATCH_MS = 1_500
const MEND_TIMEOUT_MS = 90_000
/** Ids of the paths, in the order of the host's cables. */
const WAYS = ['one', 'two'] as const

/** Two devices of ours that know two ways to each other. */
async function lay(world: World): Promise<readonly [OurEnd, OurEnd]> {
  const start = (node: LabNode, inner: string) =>
    startOurs({ node, keys: makeKeyPair(), addresses: [inner], listenPort: PORT, vanilla: false })
  const [a, b] = await Promise.all([start(world.node('a'), '10.98.0.1/24'), start(world.node('b'), '10.98.0.2/24')])
  const at = (end: OurEnd) => {
    const addresses = end.node.addresses.filter((address) => address.includes('.'))
    const paths = addresses.map(
      (address, index): SentPath => ({ id: index + 1, local: 0, remote: { address, port: PORT }, costClass: 0 }),
    )
    return { publicKey: end.publicKey, allowedIps: [`${end.address}/32`], paths }
  }
  await Promise.all([a.setPeer(at(b)), b.setPeer(at(a))])
  await firstAnswer(a.node, b.address)
  return [a, b]
}

/** The way that `end` uses, once both ways work as it sees them; the watched flow keeps it probing. */
async function whole(end: OurEnd, other: OurEnd): Promise<(typeof WAYS)[number]> {
  return await until(MEND_TIMEOUT_MS, 'both paths to work', async () => {
    const paths = (await end.paths(other.publicKey)).filter(({ id }) => id <= WAYS.length)
    const working = paths.filter(({ state }) => state === 'active' || state === 'standby')
    const active = working.find(({ state }) => state === 'active')
    return working.length === WAYS.length && active !== undefined ? (WAYS[active.id - 1] ?? null) : null
  })
}

async function trials(protocol: (typeof PROTOCOLS)[number]): Promise<readonly number[]> {
  await using world = await up(WORLD)
  const [a, b] = await lay(world)
  const flow = await startArrivals(protocol, { from: a.node, to: b.node, address: b.address })
  const gaps: number[] = []
  for (let trial = 0; trial < TRIALS; trial += 1) {
    const [way] = await Promise.all([whole(a, b), whole(b, a)])
    gaps.push(await cutAndMend(world, way, flow))
  }
  return gaps
}

/** The longest gap in arrivals when `way` dies in silence, in ms; the way lives again afterwards. */
async function cutAndMend(world: World, way: string, flow: Arrivals): Promise<number> {
  const link = world.link(`a/${way}`)
  flow.mark()
  await link.silence()
  await passed(WATCH_MS)
  const { gap, lost } = await flow.gap()
  if (lost > 0) throw new LabError('a TCP connection was lost')
  await link.restore()
  return gap
}

function figure(gaps: readonly number[]): Figure {
  const sorted = [...gaps].sort((one, other) => one - other)
  const p99 = sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * 0.99) - 1)] ?? Number.NaN
  const p50 = median(sorted) ?? Number.NaN
  return { value: p50, p50, p99 }
}

async function measure(): Promise<Round> {
  const round: Record<string, Figure> = {}
  for (const protocol of PROTOCOLS) round[protocol] = figure(await trials(protocol))
  return round
}

/** What a flow notices when the path under it dies and nobody is told. */
export const pathFailover: Bench = {
  name: 'path-failover',
  about: 'longest gap in what arrives when the active of two paths dies in silence, TCP and 1,000 UDP packets a second',
  unit: 'ms',
  less: true,
  cases: PROTOCOLS,
  rounds: 1,
  notes: [
    `${TRIALS} trials each a round: nft drops everything on the sender's active path, both ways; mended, both work again, next`,
    'tcp: 8 KiB each ms; a lost connection ends the bench; value and percentiles are of all trials of a round',
  ],
  entrants: async () => [{ name: 'ours', version: '', measure }],
}
