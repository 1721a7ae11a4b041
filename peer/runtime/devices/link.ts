import { isRopewalkError, RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { Logger } from '@ropewalk/shared/logger'
import { type LinkSpeed, type Tier, tierOf } from '@ropewalk/shared/runtime'
import { type Discovery, isRelay, type Member } from '../../discovery/index.ts'
import { type FlowOptions, measureTo } from './speed.ts'

/** This node's link as it was measured last. */
export interface MeasuredLink extends LinkSpeed {
  readonly tier: Tier
  /** Wall clock, ms since 1970. */
  readonly measuredAtMs: number
  /** Names of the members it was measured with. */
  readonly with: readonly string[]
}

/** Members that a measurement asks at most: one that is slow itself must not decide. */
const MAX_MEMBERS = 3

/**
 * Measures this node's link with up to three members, relays first, one after the other: each way the best of them counts,
 * for a link is at least as fast as what it has carried.
 * @throws RopewalkError `unreachable` when no member could be measured with, `aborted`
 */
export async function measureLink(
  discovery: Pick<Discovery, 'request' | 'members' | 'connectedTo' | 'rttMs'>,
  logger: Logger,
  options: FlowOptions = {},
): Promise<MeasuredLink> {
  let best: LinkSpeed = { upMbps: 0, downMbps: 0 }
  const measured: string[] = []
  let reason: unknown
  for (const member of partners(discovery)) {
    if (measured.length === MAX_MEMBERS) break
    try {
      const speed = await measureTo(discovery, member, options)
      logger.debug('measured the link', { peer: member.name, ...speed })
      measured.push(member.name)
      best = { upMbps: Math.max(best.upMbps, speed.upMbps), downMbps: Math.max(best.downMbps, speed.downMbps) }
    } catch (error) {
      options.signal?.throwIfAborted()
      // who has no time now may have later: that is the more useful reason
      if (!isRopewalkError(reason, 'rate-limited')) reason = error
      logger.debug('could not measure the link', { peer: member.name, error })
    }
  }
  if (measured.length === 0) throw nobody(reason)
  return { ...best, tier: tierOf(best), measuredAtMs: Date.now(), with: measured }
}

/** Members that a link is up to, relays first, then the nearest. Two more than are needed: some may have no time. */
function partners(discovery: Pick<Discovery, 'members' | 'connectedTo' | 'rttMs'>): Member[] {
  const rank = (member: Member): number => (isRelay(member) ? 0 : 1)
  const far = ({ nodeId }: Member): number => discovery.rttMs(nodeId) ?? Number.MAX_SAFE_INTEGER
  return discovery
    .members()
    .filter(({ nodeId, state }) => state === 'online' && discovery.connectedTo(nodeId))
    .toSorted((a, b) => rank(a) - rank(b) || far(a) - far(b))
    .slice(0, MAX_MEMBERS + 2)
}

function nobody(cause: unknown): RopewalkError {
  if (cause === undefined) {
    return new RopewalkError('unreachable', 'No member is connected that the link could be measured with', {
      hint: 'ropewalk status',
    })
  }
  const { code, message } = toRopewalkError(cause)
  const sentence = `The link could be measured with no member: ${message}`
  return new RopewalkError(code === 'rate-limited' ? code : 'unreachable', sentence, {
    hint: 'try again in a minute',
    cause,
  })
}
