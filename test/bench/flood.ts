import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { checkout, iperf, LabError, type LabProcess, up, type World } from '../lab/index.ts'
import type { OurEnd } from '../wireguard/index.ts'
import type { Bench, Figure, Round } from './bench.ts'
import { ours } from './tunnel.ts'

const run = promisify(execFile)
const ENGINE = join(checkout, 'node-wireguard')
const PROGRAM = join(process.env.CARGO_TARGET_DIR ?? join(ENGINE, 'target'), 'release', 'examples', 'flood')
const BUILD_TIMEOUT_MS = 600_000
const WORLD = 'three-hosts'
const KINDS = ['noise', 'stray', 'forged', 'wrong', 'right'] as const
/** How the rubbish arrives: each packet for itself, or up to 64 of one sender at once, as the kernel joins them. */
const WAYS = ['singly', 'joined'] as const
const RATE = 200_000
const SECONDS = 3
/** Flows beside the device's flood and beside the sink's, in turn. */
const TURNS = 2
/** Without a flow, to see what the device itself spends on rubbish. */
const ALONE_SECONDS = 2
const PORT = 51820
const SINK_PORT = 51821
/** What comes from outside waits for no program: so the flood is sent before all of them run, where that is allowed. */
const FIRST = 'chrt -r 2 true 2>/dev/null && exec chrt -r 2 "$@"; exec "$@"'
/** The flood comes from so many addresses. */
const SOURCES = 100
const MOST_GROWTH_BYTES = 16 << 20
/** Of the device's counters, those that name rubbish (node-wireguard/src/device/counters.rs). */
const RUBBISH = { unknownKind: 16, unknownSession: 17, forged: 19, queueFull: 24, sieved: 26, refused: 33, cookies: 34 }

/** What is needed for one flow beside a flood. */
interface Scene {
  readonly world: World
  readonly end: OurEnd
  readonly sources: readonly string[]
}

const TAILS = ['', ', of alone', ', k/s', ', cores']

type Kind = (typeof KINDS)[number]
type Way = (typeof WAYS)[number]

async function measure(): Promise<Round> {
  await using world = await up(WORLD)
  const [from, to, stranger] = [world.node('a'), world.node('b'), world.node('c')]
  const [, end] = await ours()([from, to])
  const sources = Array.from({ length: SOURCES }, (_, nth) => `10.20.0.${100 + nth}`)
  const add = sources.map((source) => `ip address add ${source}/24 dev eth0`)
  await stranger.exec('sh', ['-ec', add.join('\n')])
  await to.spawn(PROGRAM, ['sink', `${to.address}:${SINK_PORT}`]).says(/ready/)
  const scene = { world, end, sources }
  await flow(scene) // buffers that a flow needs are not the flood's
  const before = await residentBytes(end.process)
  const round: Record<string, Figure> = {}
  for (const way of WAYS) {
    // a device that takes no more than one segment has the kernel cut up what leaves by it
    const most = way === 'singly' ? 1 : 65_535
    await stranger.exec('ip', ['link', 'set', 'dev', 'eth0', 'gso_max_segs', most.toString()])
    for (const kind of KINDS) Object.assign(round, await beside(scene, kind, way))
  }
  const grown = (await residentBytes(end.process)) - before
  if (grown > MOST_GROWTH_BYTES) throw new LabError(`the device grew by ${grown >> 20} MiB under the flood`)
  return round
}

/** What of a flow is left beside one kind of rubbish, how much of that came, and what the device itself used for it. */
async function beside(scene: Scene, kind: Kind, way: Way): Promise<Round> {
  const { world, end, sources } = scene
  const [to, stranger] = [world.node('b'), world.node('c')]
  let [device, sink, alone, came, seconds, cpu, cpuSeconds] = [0, 0, 0, 0, 0, 0, 0]
  for (let turn = 0; turn < TURNS; turn += 1) {
    const known = kind === 'forged' ? await sessionOf(scene) : end.publicKey.toString('hex')
    const flooded = async (port: number) => {
      const words = [kind, `${to.address}:${port}`, RATE.toString(), known, ...sources]
      const flood = stranger.spawn('sh', ['-c', FIRST, 'sh', PROGRAM, ...words])
      await flood.says(/sent \d+/)
      const used = await end.process.cpuSeconds()
      const idle = performance.now()
      await flood.says(new RegExp(`(sent \\d+\\s+){${1 + ALONE_SECONDS}}`))
      if (port === PORT) {
        cpu += (await end.process.cpuSeconds()) - used
        cpuSeconds += (performance.now() - idle) / 1000
      }
      const [count, start] = [await rubbish(end), performance.now()]
      const gbit = await flow(scene)
      if (port === PORT) {
        came += (await rubbish(end)) - count
        seconds += (performance.now() - start) / 1000
      }
      await flood.stop()
      return gbit
    }
    alone += await flow(scene)
    sink += await flooded(SINK_PORT)
    device += await flooded(PORT)
  }
  return {
    [`${kind} ${way}`]: { value: (100 * device) / sink },
    [`${kind} ${way}, of alone`]: { value: (100 * device) / alone },
    [`${kind} ${way}, k/s`]: { value: came / seconds / 1000 },
    [`${kind} ${way}, cores`]: { value: cpu / cpuSeconds },
  }
}

/** Gbit/s. A flow that never came to its end is none: that is what a flood must not do, so it is a figure and no failure. */
async function flow({ world, end }: Scene): Promise<number> {
  const options = { from: world.node('a'), to: world.node('b'), address: end.address, seconds: SECONDS }
  return (
    await iperf(options).catch((error: Error) => {
      if (error instanceof LabError) return { gbitPerSecond: 0 }
      throw error
    })
  ).gbitPerSecond
}

/** Rubbish that has come to the device so far, by its own counters. */
async function rubbish(end: OurEnd): Promise<number> {
  const counters = await end.counters()
  return Object.values(RUBBISH).reduce((sum, word) => sum + (counters[word] ?? 0), 0)
}

/** The index by which the receiving end knows the session that is in use: who listens on the wire can read it. */
async function sessionOf({ world, end }: Scene): Promise<string> {
  const [from, to] = [world.node('a'), world.node('b')]
  const filter = `udp and src host ${from.address} and dst port ${PORT} and udp[8] == 4`
  const watch = to.spawn('tcpdump', ['-i', 'eth0', '-n', '-l', '-x', '-c', '1', '-Z', 'root', filter])
  await watch.says(/listening on/)
  await from.exec('ping', ['-c', '1', '-W', '5', end.address])
  await watch.ended
  const lines = [...watch.output().matchAll(/0x[0-9a-f]{4}:((?: +[0-9a-f]{2,4})+)/g)]
  const bytes = lines.map(([, hex = '']) => hex.replaceAll(' ', '')).join('')
  const index = bytes.slice(2 * 32, 2 * 36) // behind the headers of IP and UDP and the type
  if (!/^[0-9a-f]{8}$/.test(index)) throw new LabError(`no data message was seen: ${watch.output()}`)
  return index
}

async function residentBytes(process: LabProcess): Promise<number> {
  const status = await readFile(`/proc/${await process.pid()}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) * 1024
}

/** What rubbish costs those who use the tunnel. */
export const flood: Bench = {
  name: 'flood',
  about: `TCP through TUN devices beside ${RATE / 1000},000 packets of rubbish a second to the same port`,
  unit: '% of the flow',
  cases: WAYS.flatMap((way) => KINDS.flatMap((kind) => TAILS.map((tail) => `${kind} ${way}${tail}`))),
  rounds: 3,
  notes: [
    `iperf3, ${TURNS} turns of ${SECONDS} s; 100 %: the flow beside the same flood to a socket of the same host that nobody reads`,
    'of alone: of the flow without a flood; so what making and delivering the rubbish takes from the same cores counts as well',
    'k/s: thousand packets of rubbish a second that the device counted',
    `cores: CPU of the device's process under the flood without a flow, ${ALONE_SECONDS} s, as others' load does not change it`,
    'noise: random bytes; stray: data for no session; forged: full packets for the session in use; wrong: initiations with a',
    `wrong first MAC; right: with a right one; from ${SOURCES} addresses`,
    `a device that grows by more than ${MOST_GROWTH_BYTES >> 20} MiB ends the bench`,
  ],
  entrants: async () => {
    const words = ['build', '--release', '--locked', '--quiet', '--example', 'flood']
    await run('cargo', words, { cwd: ENGINE, timeout: BUILD_TIMEOUT_MS })
    return [{ name: 'ours', version: '', measure }]
  },
}
