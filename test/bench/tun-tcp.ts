import { boringtun, wireguardGo, wireguardGoDebian } from '../wireguard/index.ts'
import type { Bench } from './bench.ts'
import { tailscaleEntrant } from './tailnet.ts'
import { TCP_FLOWS, tcpFlows } from './tcp-flows.ts'
import { type Track, tunnelEntrants } from './tunnel.ts'

const SECONDS = 3

const work = (track: Track) => tcpFlows(track, SECONDS)

/** TCP through a kernel TUN, both ends and both ends of iperf3 on this machine's cores. */
export const tunTcp: Bench = {
  name: 'tun-tcp',
  about: 'TCP through TUN devices, beside wireguard-go: one flow, four, one in reverse',
  unit: 'Gbit/s',
  cases: TCP_FLOWS,
  notes: [`iperf3, ${SECONDS} s a run, what arrived; all as they come: default MTU, threads and queues`],
  entrants: async () => [
    ...(await tunnelEntrants([wireguardGo(), wireguardGoDebian(), boringtun()], work)),
    await tailscaleEntrant(work),
  ],
}
