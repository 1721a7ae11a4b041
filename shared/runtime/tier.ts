import { TIERS, type Tier } from './resources.ts'

/**
 * A link as it was measured, both ways, in Mbit/s.
 *
 * The rule: a worker moves bytes to and from another member for 3 s each way, over the libp2p connection of the two, in
 * several requests at once; what is done in the second half of that time counts. It does so with up to three members, relays
 * first, one after the other, and each way the best of them counts: a link is at least as fast as what it has carried.
 */
export interface LinkSpeed {
  readonly upMbps: number
  readonly downMbps: number
}

/**
 * Least Mbit/s of the slower direction, by tier: what a worker's share in moving weights and gradients depends on. Lines of
 * 100 Mbit/s, 1 and 10 Gbit/s reach theirs: frames, IP, TCP and encryption take a twentieth of what a line is called by.
 */
const LEAST_MBPS: Readonly<Record<Tier, number>> = { low: 0, medium: 90, high: 900, ultra: 9_000 }

/** The tier of a link: the highest whose least speed both directions reach. */
export function tierOf({ upMbps, downMbps }: LinkSpeed): Tier {
  const slower = Math.min(upMbps, downMbps)
  return TIERS.findLast((tier) => slower >= LEAST_MBPS[tier]) ?? 'low'
}

/** Whether a worker of one tier may stand where another is asked for; an unmeasured one counts as `low`. */
export function tierReaches(has: Tier | undefined, asked: Tier): boolean {
  return TIERS.indexOf(has ?? 'low') >= TIERS.indexOf(asked)
}
