import { iperf } from '../lab/index.ts'
import { boringtun, wireguardGo, wireguardGoDebian } from '../wireguard/index.ts'
import type { Bench, Round } from './bench.ts'
import { tailscaleEntrant } from './tailnet.ts'
import { type Track, tunnelEntrants } from './tunnel.ts'

const SECONDS = 3
const SIZES = [64, 128, 256]
const BUFFER_BYTES = 2 << 20

async function work({ from, to, address }: Track): Promise<Round> {
  const round: Record<string, { value: number }> = {}
  for (const udpBytes of SIZES) {
    const report = await iperf({ from, to, address, seconds: SECONDS, udpBytes, bufferBytes: BUFFER_BYTES })
    round[udpBytes.toString()] = { value: (report.packetsPerSecond ?? 0) / 1000 }
  }
  return round
}

/** Small packets: what arrives of as many as one sender can make. */
export const tunUdpSmall: Bench = {
  name: 'tun-udp-small',
  about: 'small UDP packets that arrive through TUN devices, beside wireguard-go: 64, 128 and 256 bytes',
  unit: 'k packets/s',
  cases: SIZES.map(String),
  notes: [
    `iperf3 -u -b 0, ${SECONDS} s a run, socket buffers of 2 MB for everybody: its own are what loses packets otherwise`,
  ],
  entrants: async () => [
    ...(await tunnelEntrants([wireguardGo(), wireguardGoDebian(), boringtun()], work)),
    await tailscaleEntrant(work),
  ],
}
