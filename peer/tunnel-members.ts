import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import { decodeBundle, encodeBundle, rightsAdmit, verifyMember } from '@ropewalk/shared/membership'
import type { TunnelMember, TunnelMembers } from '@ropewalk/shared/tunnel'
import type { Discovery, Member } from './discovery/index.ts'

/** The members as tunnels look at them: every answer is this node's own, whatever a relay or a visitor shows. */
export function tunnelMembers(discovery: Discovery, nowMs: () => number): TunnelMembers {
  const revoked = (node: NodeId) => discovery.revocations()?.nodes.has(node) === true
  const known = ({ nodeId, name, tags }: Pick<Member, 'nodeId' | 'name' | 'tags'>): TunnelMember => ({
    nodeId,
    name,
    tags,
    revoked: revoked(nodeId),
  })
  return {
    bundle: () => encodeBundle(discovery.self.bundle),
    member: (nodeId) => {
      const member = discovery.member(nodeId)
      return member === undefined ? undefined : known(member)
    },
    async accept(bytes) {
      const bundle = decodeBundle(bytes)
      const member = verifyMember(bundle, {
        network: discovery.network,
        nowMs: nowMs(),
        revocations: discovery.revocations(),
        mayAdmit: (admitter) => rightsAdmit(discovery.member(admitter)?.rights ?? []),
      })
      const held = discovery.member(member.name)
      if (held !== undefined && held.nodeId !== member.nodeId) {
        throw new RopewalkError('name-taken', `Another member holds the name ${member.name}`)
      }
      return known(member)
    },
    onChange: (listener) => discovery.onChange(() => listener()),
  }
}
