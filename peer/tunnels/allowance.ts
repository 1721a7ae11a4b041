import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'

/** How many connections from others a node carries at once, by whatever way they come. */
export interface AllowanceLimits {
  readonly total: number
  readonly perMember: number
}

/** A place for one connection. */
export interface Place {
  /** It has turned out whose it is. @throws RopewalkError `limit-reached` when that member has its share already */
  claim(nodeId: NodeId): void
  /** Gives it back; what follows the first time does nothing. */
  free(): void
}

/** Counts what others have open here: neither a relay nor a member can take all descriptors. */
export interface Allowance {
  /** A place, taken before anybody has proven anything; `undefined` when all are. */
  take(): Place | undefined
  readonly taken: number
}

/** Nothing is open. */
export function createAllowance({ total, perMember }: AllowanceLimits): Allowance {
  const members = new Map<NodeId, number>()
  let taken = 0
  return {
    get taken() {
      return taken
    },
    take() {
      if (taken >= total) return undefined
      taken++
      let owner: NodeId | undefined
      let freed = false
      return {
        claim(nodeId) {
          const held = members.get(nodeId) ?? 0
          if (held >= perMember) throw new RopewalkError('limit-reached', 'That member has too many streams here')
          if (owner !== undefined || freed) return
          owner = nodeId
          members.set(nodeId, held + 1)
        },
        free() {
          if (freed) return
          freed = true
          taken--
          if (owner === undefined) return
          const left = (members.get(owner) ?? 1) - 1
          if (left === 0) members.delete(owner)
          else members.set(owner, left)
        },
      }
    },
  }
}
