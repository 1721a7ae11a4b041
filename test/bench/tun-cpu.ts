import { iperf } from '../lab/index.ts'
import { wireguardGo } from '../wireguard/index.ts'
import type { Bench, Round } from './bench.ts'
import { type Track, tunnelEntrants } from './tunnel.ts'

const SECONDS = 5
const RATE_MBIT = 1000

async function work({ from, to, address, ends }: Track): Promise<Round> {
  const used = () => Promise.all(ends.map(({ process }) => process.cpuSeconds()))
  const before = await used()
  const { bytes } = await iperf({ from, to, address, seconds: SECONDS, rateMbit: RATE_MBIT })
  const after = await used()
  const perGb = (end: number) => ({ value: ((after[end] ?? 0) - (before[end] ?? 0)) / (bytes / 1e9) })
  return { sender: perGb(0), receiver: perGb(1) }
}

/** What a gigabyte costs where the tunnel is not the limit. */
export const tunCpu: Bench = {
  name: 'tun-cpu',
  about: `CPU of each end for a GB at ${RATE_MBIT} Mbit/s through TUN devices, beside wireguard-go; less is better`,
  unit: 'CPU-s/GB',
  less: true,
  cases: ['sender', 'receiver'],
  notes: [`iperf3, ${SECONDS} s a run; user and system time of the tunnel's process, kernel work in its name included`],
  entrants: async () => (await tunnelEntrants([wireguardGo()], work)).filter(({ name }) => name !== 'raw'),
}
