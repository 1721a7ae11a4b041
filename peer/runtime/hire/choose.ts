import { RopewalkError } from '@ropewalk/shared/errors'
import { type LeasedDevices, type Offer, TIERS, type Tier, tierReaches } from '@ropewalk/shared/runtime'
import type { Member } from '../../discovery/index.ts'

/** Of what a worker says it has, so much is left to the machine itself unless memory is asked for in figures. */
const MEMORY_SHARE = 0.75

/** What is asked of every worker of a cluster. */
export interface Wish {
  readonly tier?: Tier | undefined
  /** GPUs of each; all that it has where nothing is said. */
  readonly gpus?: number | undefined
  readonly cpus?: number | undefined
  readonly memoryMiB?: number | undefined
}

/** Why a member cannot be hired for a wish; nothing when it may be asked. */
export function unfit(member: Member, wish: Wish): string | undefined {
  const offer = member.record?.offer
  if (member.state !== 'online') return 'is not online'
  if (offer === undefined) return 'has no Ray installed (ropewalk runtime install, there)'
  if (wish.tier !== undefined && !tierReaches(offer.tier, wish.tier)) {
    return `has the tier ${offer.tier ?? 'low (not measured)'}, not ${wish.tier}`
  }
  if ((wish.gpus ?? 0) > offer.gpus.length) return `has ${offer.gpus.length} GPUs`
  if ((wish.cpus ?? 1) > offer.cpus) return `has ${offer.cpus} cores`
  if ((wish.memoryMiB ?? 1) > offer.memoryMiB) return `has ${offer.memoryMiB} MiB of memory`
  return undefined
}

/** Those who fit, the best to ask first: few leases, then a fast link, then GPUs to no more than is asked for. */
export function candidates(members: readonly Member[], wish: Wish): Member[] {
  const rank = ({ record }: Member): readonly number[] => {
    const offer = record?.offer
    return [offer?.leases ?? 0, -TIERS.indexOf(offer?.tier ?? 'low'), (offer?.gpus.length ?? 0) - (wish.gpus ?? 0)]
  }
  return members
    .filter((member) => unfit(member, wish) === undefined)
    .map((member) => ({ member, rank: rank(member) }))
    .sort((a, b) => compare(a.rank, b.rank) || (a.member.name < b.member.name ? -1 : 1))
    .map(({ member }) => member)
}

/** What of a worker is leased for a wish. */
export function devicesFor(offer: Offer, wish: Wish): LeasedDevices {
  return {
    cpus: wish.cpus ?? offer.cpus,
    memoryMiB: wish.memoryMiB ?? Math.max(1, Math.floor(offer.memoryMiB * MEMORY_SHARE)),
    gpus: wish.gpus ?? offer.gpus.length,
  }
}

/** @throws RopewalkError `no-workers` for the first of them that cannot be hired for a wish */
export function refuseUnfit(members: readonly Member[], wish: Wish): void {
  for (const member of members) {
    const why = unfit(member, wish)
    if (why !== undefined) throw new RopewalkError('no-workers', `${member.name} ${why}`, { hint: 'ropewalk devices' })
  }
}

/** That too few members can be hired, and what is wrong with the others. */
export function tooFew(size: number, members: readonly Member[], wish: Wish): RopewalkError {
  const fit = members.filter((member) => unfit(member, wish) === undefined).length
  const why = members
    .filter(({ record }) => record?.offer !== undefined)
    .flatMap((member) => {
      const reason = unfit(member, wish)
      return reason === undefined ? [] : [`${member.name} ${reason}`]
    })
  const words = why.length === 0 ? '' : `: ${why.slice(0, 5).join('; ')}`
  return new RopewalkError('no-workers', `${size} workers are asked for, ${fit} fit${words}`, {
    hint: 'ropewalk devices',
  })
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, index) => value !== b[index])
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0)
}
