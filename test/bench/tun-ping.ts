import { ping } from '../lab/index.ts'
import { wireguardGo, wireguardGoDebian } from '../wireguard/index.ts'
import type { Bench, Round } from './bench.ts'
import { type Track, tunnelEntrants } from './tunnel.ts'

const COUNT = 300
const WARM_UP = 30
const INTERVAL_MS = 10

async function work({ from, address }: Track): Promise<Round> {
  await ping(from, address, { intervalMs: INTERVAL_MS, count: WARM_UP }).done
  const { replies, p50Ms, p99Ms, lost } = await ping(from, address, { intervalMs: INTERVAL_MS, count: COUNT }).done
  if (lost > 0) throw new Error(`${lost} of ${COUNT} pings were lost on a wire that loses nothing`)
  const mean = replies.reduce((total, reply) => total + reply.roundTripMs, 0) / replies.length
  return { idle: { value: mean, p50: p50Ms, p99: p99Ms } }
}

/** The round trip of a lonely packet. */
export const tunPing: Bench = {
  name: 'tun-ping',
  about: 'round trip of pings through TUN devices, beside wireguard-go; less is better',
  unit: 'ms',
  cases: ['idle'],
  notes: [`${COUNT} pings, one every ${INTERVAL_MS} ms: mean; percentiles are ours`],
  entrants: () => tunnelEntrants([wireguardGo(), wireguardGoDebian()], work),
}
