import { isAddress } from '@ropewalk/shared/addressing'
import { encodeBundle } from '@ropewalk/shared/membership'
import type { TunnelMember, TunnelMembers } from '@ropewalk/shared/tunnel'
import type { Discovery, Member } from './discovery/index.ts'

/** The members as tunnels look at them: every answer is this node's own, whatever a relay or a visitor shows. */
export function tunnelMembers(discovery: Discovery): TunnelMembers {
  const known = ({ nodeId, name, tags }: Pick<Member, 'nodeId' | 'name' | 'tags'>): TunnelMember => ({
    nodeId,
    name,
    tags,
    revoked: discovery.revocations()?.nodes.has(nodeId) === true,
  })
  const found = (word: string): TunnelMember | undefined => {
    const member = discovery.member(word)
    return member === undefined ? undefined : known(member)
  }
  return {
    bundle: () => encodeBundle(discovery.self.bundle),
    member: found,
    at: (address) => (isAddress(address) ? found(address) : undefined),
    // what is shown across a tunnel is held to the same rules, and remembered, as what comes by sync
    accept: async (bundle) => known(discovery.accept(bundle)),
    onChange: (listener) => discovery.onChange(() => listener()),
  }
}
