import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import { type Claim, conflictOf } from '@ropewalk/shared/membership'

/** Who holds which name, key, address and use of an invite: look-ups that do not walk all members. */
export class Holders {
  readonly #claims = new Map<string, Claim>()

  /** The claim of another node that stands in the way, and how to say it. */
  conflict(wish: Claim): { readonly held: Claim; readonly error: RopewalkError } | undefined {
    for (const key of keysOf(wish)) {
      const held = this.#claims.get(key)
      if (held === undefined || held.nodeId === wish.nodeId) continue
      return {
        held,
        error: conflictOf(wish, held) ?? new RopewalkError('ticket-used', `“${held.name}” used this ticket first`),
      }
    }
    return undefined
  }

  /** Notes a claim in place of the node's earlier one. */
  replace(before: Claim | undefined, after: Claim | undefined): void {
    for (const key of before === undefined ? [] : keysOf(before)) this.#claims.delete(key)
    if (after === undefined) return
    for (const key of keysOf(after)) this.#claims.set(key, after)
  }

  /** The node that holds a name or address. */
  find(word: string): NodeId | undefined {
    return (this.#claims.get(`name ${word}`) ?? this.#claims.get(`v4 ${word}`))?.nodeId
  }
}

function keysOf(claim: Claim): string[] {
  return [`name ${claim.name}`, `key ${claim.wireguardKey}`, `v4 ${claim.v4}`, `use ${claim.invite} ${claim.use}`]
}
