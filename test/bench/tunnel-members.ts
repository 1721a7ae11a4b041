import { type SigningKey, signingKeyFromSeed } from '@ropewalk/shared/identity'
import type { TunnelMember, TunnelMembers } from '@ropewalk/shared/tunnel'

/** Who takes part in a tunnel. */
export type TunnelRole = 'relay' | 'agent' | 'visitor'

/** What the processes of one tunnel are told: the ports; the keys are known to all, since nobody else is to believe them. */
export interface TunnelPlan {
  readonly relayPort: number
  readonly targetPort: number
}

const SEEDS: Readonly<Record<TunnelRole, number>> = { relay: 1, agent: 2, visitor: 3 }

export function keyOf(role: TunnelRole): SigningKey {
  return signingKeyFromSeed(new Uint8Array(32).fill(SEEDS[role]))
}

/** The three know each other; a bundle is the role's name. */
export function membersOf(self: TunnelRole): TunnelMembers {
  const members = (['relay', 'agent', 'visitor'] as const).map((name): TunnelMember => {
    return { nodeId: keyOf(name).nodeId, name, tags: [], revoked: false }
  })
  return {
    bundle: () => new Uint8Array(Buffer.from(self)),
    member: (nodeId) => members.find((member) => member.nodeId === nodeId),
    at: () => undefined,
    accept: async (bundle) => {
      const found = members.find(({ name }) => name === Buffer.from(bundle).toString())
      if (found === undefined) throw new Error('no such member')
      return found
    },
    onChange: () => () => undefined,
  }
}
