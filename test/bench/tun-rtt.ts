import { iperf, type PingReport, ping } from '../lab/index.ts'
import { boringtun, wireguardGo, wireguardGoDebian } from '../wireguard/index.ts'
import type { Bench, Figure, Round } from './bench.ts'
import { tailscaleEntrant } from './tailnet.ts'
import { type Track, tunnelEntrants } from './tunnel.ts'

const COUNT = 300
const WARM_UP = 30
const INTERVAL_MS = 10
/** Longer than all pings of a run take. */
const BULK_SECONDS = 5

async function work({ from, to, address }: Track): Promise<Round> {
  const pings = (target: string, count: number) => ping(from, target, { intervalMs: INTERVAL_MS, count }).done
  await pings(address, WARM_UP)
  const wire = await pings(to.address, COUNT)
  const idle = await pings(address, COUNT)
  const bulk = iperf({ from, to, address, seconds: BULK_SECONDS })
  await pings(address, WARM_UP) // the flow is under way
  const loaded = await pings(address, COUNT)
  await bulk
  return { idle: added(idle, wire), loaded: added(loaded, wire) }
}

/** In microseconds; the wire's median is taken off all. */
function added(report: PingReport, wire: PingReport): Figure {
  if (report.lost > 0) throw new Error(`${report.lost} of ${COUNT} pings were lost on a wire that loses nothing`)
  const beyond = (ms: number) => (ms - wire.p50Ms) * 1000
  return { value: beyond(report.p50Ms), p50: beyond(report.p50Ms), p99: beyond(report.p99Ms) }
}

/** What a tunnel adds to the round trip of a lonely packet, and of one beside a flow that takes all there is. */
export const tunRtt: Bench = {
  name: 'tun-rtt',
  about:
    'round trip that TUN devices add to the wire’s, idle and beside a bulk flow, beside wireguard-go; less is better',
  unit: 'µs',
  less: true,
  cases: ['idle', 'loaded'],
  notes: [
    `${COUNT} pings, one every ${INTERVAL_MS} ms: median less the idle wire's own; percentiles are ours`,
    'loaded: one TCP flow of iperf3 through the tunnel meanwhile, as fast as it goes',
  ],
  entrants: async () => {
    const rivals = [wireguardGo(), wireguardGoDebian(), boringtun()]
    const all = [...(await tunnelEntrants(rivals, work)), await tailscaleEntrant(work)]
    return all.filter(({ name }) => name !== 'raw')
  },
}
