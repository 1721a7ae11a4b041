import { iperf } from '../lab/index.ts'
import { wireguardGo, wireguardGoDebian } from '../wireguard/index.ts'
import type { Bench, Round } from './bench.ts'
import { type Track, tunnelEntrants } from './tunnel.ts'

const SECONDS = 3

async function work({ from, to, address }: Track): Promise<Round> {
  const run = async (options: { parallel?: number; reverse?: boolean }) => {
    const { gbitPerSecond } = await iperf({ from, to, address, seconds: SECONDS, ...options })
    return { value: gbitPerSecond }
  }
  return { 'one-flow': await run({}), 'four-flows': await run({ parallel: 4 }), reverse: await run({ reverse: true }) }
}

/** TCP through a kernel TUN, both ends and both ends of iperf3 on this machine's cores. */
export const tunTcp: Bench = {
  name: 'tun-tcp',
  about: 'TCP through TUN devices, beside wireguard-go: one flow, four, one in reverse',
  unit: 'Gbit/s',
  cases: ['one-flow', 'four-flows', 'reverse'],
  notes: [`iperf3, ${SECONDS} s a run, what arrived; all as they come: default MTU, threads and queues`],
  entrants: () => tunnelEntrants([wireguardGo(), wireguardGoDebian()], work),
}
