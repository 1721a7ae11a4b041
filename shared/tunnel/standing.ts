import { RopewalkError, toRopewalkError } from '../errors/index.ts'
import type { NodeId } from '../identity/index.ts'
import type { TunnelMembers } from './members.ts'

/** Somebody who was let in, with the bundle that was shown. */
export interface Admitted {
  readonly nodeId: NodeId
  readonly bundle: Uint8Array
}

/**
 * Whether somebody who was let in may stay; `undefined` means yes, else why not. The store first; whom it does not know
 * (not synced yet, or removed) is verified anew by the bundle, against the revocations and the clock of now.
 */
export async function objectionTo(
  members: TunnelMembers,
  { nodeId, bundle }: Admitted,
): Promise<RopewalkError | undefined> {
  const known = members.member(nodeId)
  if (known !== undefined) return known.revoked ? new RopewalkError('revoked', `${known.name} is revoked`) : undefined
  try {
    const member = await members.accept(bundle)
    if (member.nodeId !== nodeId) return new RopewalkError('wrong-key', 'The certificate is of another node')
    return member.revoked ? new RopewalkError('revoked', `${member.name} is revoked`) : undefined
  } catch (error) {
    return toRopewalkError(error)
  }
}
