import { LabError } from './error.ts'
import type { LabNode } from './node.ts'

export interface IperfOptions {
  readonly from: LabNode
  readonly to: LabNode
  /** Of `to`, on the way that is to be measured. */
  readonly address: string
  /** 5 s unless said. */
  readonly seconds?: number
  readonly parallel?: number
  /** `to` sends. */
  readonly reverse?: boolean
  /** UDP with payloads of so many bytes, as fast as it goes unless `rateMbit` is said. */
  readonly udpBytes?: number
  readonly rateMbit?: number
  /** Socket buffers at both ends; the kernel's own unless said. */
  readonly bufferBytes?: number
  /** 5201 unless said. */
  readonly port?: number
}

/** What arrived; not what was sent. */
export interface IperfReport {
  readonly gbitPerSecond: number
  readonly bytes: number
  readonly retransmits: number | null
  /** UDP: packets that arrived per second, and the share that did not arrive. */
  readonly packetsPerSecond: number | null
  readonly lostShare: number | null
}

interface Sum {
  readonly bytes: number
  readonly seconds: number
  readonly bits_per_second: number
  readonly retransmits?: number
  readonly packets?: number
  readonly lost_packets?: number
}

interface Result {
  readonly error?: string
  readonly end: { readonly sum?: Sum; readonly sum_sent?: Sum; readonly sum_received?: Sum }
}

const EXTRA_MS = 20_000

/** One run of iperf3 with a server of its own. */
export async function iperf(options: IperfOptions): Promise<IperfReport> {
  const port = (options.port ?? 5201).toString()
  const seconds = options.seconds ?? 5
  const server = options.to.spawn('iperf3', ['-s', '-1', '-p', port, '--forceflush', '-B', options.address])
  try {
    await server.says(/Server listening/)
    const words = ['-J', '-c', options.address, '-p', port, '-t', seconds.toString()]
    if (options.parallel !== undefined) words.push('-P', options.parallel.toString())
    if (options.reverse) words.push('-R')
    if (options.udpBytes !== undefined) words.push('-u', '-l', options.udpBytes.toString())
    if (options.bufferBytes !== undefined) words.push('-w', options.bufferBytes.toString())
    if (options.rateMbit !== undefined) words.push('-b', `${options.rateMbit}M`)
    else if (options.udpBytes !== undefined) words.push('-b', '0')
    const timeoutMs = seconds * 1000 + EXTRA_MS
    const { stdout, stderr } = await options.from.exec('iperf3', words, { mayFail: true, timeoutMs })
    return report(stdout, stderr)
  } finally {
    await server.stop()
  }
}

function report(stdout: string, stderr: string): IperfReport {
  let result: Result
  try {
    result = JSON.parse(stdout) as Result
  } catch {
    throw new LabError(`iperf3 said no result: ${stdout}${stderr}`)
  }
  if (result.error !== undefined) throw new LabError(`iperf3: ${result.error}`)
  const { sum, sum_sent: sent, sum_received: received } = result.end
  if (received !== undefined && sum === undefined) {
    return {
      gbitPerSecond: received.bits_per_second / 1e9,
      bytes: received.bytes,
      retransmits: sent?.retransmits ?? null,
      packetsPerSecond: null,
      lostShare: null,
    }
  }
  if (sum?.packets === undefined || sum.lost_packets === undefined) throw new LabError(`iperf3 said: ${stdout}`)
  const arrived = Math.max(0, sum.packets - sum.lost_packets)
  const bytes = sum.packets === 0 ? 0 : (sum.bytes * arrived) / sum.packets
  return {
    gbitPerSecond: (bytes * 8) / sum.seconds / 1e9,
    bytes,
    retransmits: null,
    packetsPerSecond: arrived / sum.seconds,
    lostShare: sum.packets === 0 ? 0 : sum.lost_packets / sum.packets,
  }
}
