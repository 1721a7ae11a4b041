import { groupsAreFixed } from './groups.ts'
import type { LabNode } from './node.ts'

/** A running tcpdump. */
export interface Capture {
  /** The pcap file; whole after {@link Capture.stop}. */
  readonly file: string
  /** Ends it; returns how many packets it wrote. */
  stop(): Promise<number>
}

/** Why nothing can be captured here, or null. In an ordinary user's namespace groups cannot be set, and tcpdump insists on
 *  setting them, even to what they are. Tests that look at the wire are skipped there. */
export function captureRefusal(): string | null {
  return groupsAreFixed() ? 'tcpdump cannot run in a user namespace' : null
}

/** Starts tcpdump on a device of a node and waits until it listens. */
export async function capture(node: LabNode, device: string, file: string, filter = ''): Promise<Capture> {
  // -Z root: it would otherwise give its rights away to a user that a user namespace does not have.
  const args = ['-i', device, '-n', '-U', '--immediate-mode', '-B', '16384', '-Z', 'root', '-w', file]
  const process = node.spawn('tcpdump', [...args, ...filter.split(' ').filter((word) => word !== '')])
  await process.says(/listening on/)
  return {
    file,
    stop: async () => {
      await process.kill('SIGINT')
      await process.ended
      return Number(/(\d+) packets? captured/.exec(process.output())?.[1] ?? 0)
    },
  }
}
