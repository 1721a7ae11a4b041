import { iperf } from '../lab/index.ts'
import { wireguardGo } from '../wireguard/index.ts'
import type { Bench, Round } from './bench.ts'
import { entrant, ours, type Track, tunnelEntrants } from './tunnel.ts'

const SECONDS = 3
/** What WireGuard leaves of 9,000 bytes over IPv6. */
const INNER_MTU = 8920

async function work({ from, to, address }: Track): Promise<Round> {
  const { gbitPerSecond } = await iperf({ from, to, address, seconds: SECONDS })
  return { 'one-flow': { value: gbitPerSecond } }
}

/** TCP where the wire takes packets of 9,000 bytes. */
export const tunTcpJumbo: Bench = {
  name: 'tun-tcp-jumbo',
  about: 'TCP through TUN devices on a wire of 9,000 bytes, beside wireguard-go and ours on 1,500',
  unit: 'Gbit/s',
  cases: ['one-flow'],
  notes: [`iperf3, ${SECONDS} s a run, what arrived; inner MTU ${INNER_MTU} for everybody but ours-1500`],
  entrants: async () => [
    ...(await tunnelEntrants([wireguardGo()], work, { world: 'two-hosts-jumbo', mtu: INNER_MTU })),
    entrant('ours-1500', '', ours(), work),
  ],
}
