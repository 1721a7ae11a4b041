import { iperf } from '../lab/index.ts'
import type { Round } from './bench.ts'
import type { Track } from './tunnel.ts'

/** One flow, four side by side, and one the other way. */
export const TCP_FLOWS = ['one-flow', 'four-flows', 'reverse'] as const

/** Gbit/s that arrive of each, one after the other; `seconds` a run. */
export async function tcpFlows({ from, to, address }: Track, seconds: number): Promise<Round> {
  const run = async (options: { parallel?: number; reverse?: boolean }) => {
    const { gbitPerSecond } = await iperf({ from, to, address, seconds, ...options })
    return { value: gbitPerSecond }
  }
  return { 'one-flow': await run({}), 'four-flows': await run({ parallel: 4 }), reverse: await run({ reverse: true }) }
}
