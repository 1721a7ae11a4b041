import { type Claim, type Network, openPolicy, openRevocations } from '@ropewalk/shared/membership'
import type { DiscoveryMemory } from '../discovery/index.ts'
import type { Document } from './document.ts'
import { dropApplication, keepBundle, nextApplication } from './joining.ts'
import type { State } from './state.ts'

/** The memory of discovery in a state folder. */
export async function createDiscoveryMemory(state: State, network: Network): Promise<DiscoveryMemory> {
  let claims: readonly Claim[] = (await state.claims.read()) ?? []
  return {
    claims: {
      claims: () => claims,
      async put(claim) {
        const others = (held: readonly Claim[] = []) => held.filter((one) => one.nodeId !== claim.nodeId)
        claims = await state.claims.update((held) => [...others(held), claim])
      },
    },
    members: async () => (await state.members.read()) ?? [],
    saveMembers: (members) => state.members.write(members),
    saveBundle: (bundle) => keepBundle(state, bundle),
    dropApplication: () => dropApplication(state),
    nextBundle: () => nextApplication(state, network),
    revocations: () => state.revocations.read(),
    saveRevocations: (statement) => keepNewer(state.revocations, statement, (raw) => openRevocations(network, raw).seq),
    policy: () => state.policy.read(),
    savePolicy: (statement) => keepNewer(state.policy, statement, (raw) => openPolicy(network, raw).seq),
  }
}

/** A command may have written a newer statement than the one that just came in. */
async function keepNewer(
  document: Document<Uint8Array>,
  statement: Uint8Array,
  seqOf: (raw: Uint8Array) => number,
): Promise<void> {
  await document.update((held) => (held !== undefined && seqOf(held) >= seqOf(statement) ? held : statement))
}
