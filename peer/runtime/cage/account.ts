import { readFile } from 'node:fs/promises'
import { BLOCK_PORTS, BLOCKS, FIRST_BLOCK_PORT } from '@ropewalk/shared/runtime'

/** First user ids of leases, the first that exists here is taken: far from those that people and services get, and for
 *  containers that know 65,536 users only, in the range that Debian keeps free for local use. */
const FIRST_IDS = [700_000, 64_100] as const

/** How this process's users are mapped: `/proc/self/uid_map`. Null for what is none. */
export function parseIdMap(text: string): { readonly first: number; readonly count: number }[] | null {
  const lines = text.trim().split('\n')
  const ranges = lines.map((line) => /^\s*(\d{1,10})\s+\d{1,10}\s+(\d{1,10})\s*$/.exec(line))
  if (ranges.some((range) => range === null)) return null
  return ranges.map((range) => ({ first: Number(range?.[1]), count: Number(range?.[2]) }))
}

/** User id of the leases' first block; null where there is only one user, so that all leases share it. */
export function firstLeaseId(map: string): number | null {
  const ranges = parseIdMap(map) ?? []
  const holds = (id: number) => ranges.some(({ first, count }) => first <= id && id < first + count)
  return FIRST_IDS.find((id) => holds(id) && holds(id + BLOCKS - 1)) ?? null
}

/** User id of the lease whose block begins at `ports`; null where leases share the only user. */
export async function leaseUser(ports: number): Promise<number | null> {
  const first = firstLeaseId(await readFile('/proc/self/uid_map', 'utf8'))
  return first === null ? null : first + (ports - FIRST_BLOCK_PORT) / BLOCK_PORTS
}

/** The words before a command that give everything up that root may do, and become the lease's user. */
export function dropped(user: number | null): string[] {
  const become = user === null ? [] : [`--reuid=${user}`, `--regid=${user}`, '--clear-groups']
  return ['setpriv', ...become, '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs', '--']
}
