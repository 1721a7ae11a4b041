import type { MeshAddress } from '@ropewalk/shared/addressing'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId, NodeName, WireguardKey } from '@ropewalk/shared/identity'
import type { Admission } from './admission.ts'
import type { CertificateHash, InviteId } from './terms.ts'
import type { Applicant, VerifiedMember } from './verification.ts'

/** What one node holds alone: its name, IPv4 address, WireGuard key and its use of an invite. */
export interface Claim {
  readonly nodeId: NodeId
  readonly certificate: CertificateHash
  readonly name: NodeName
  readonly v4: MeshAddress
  readonly wireguardKey: WireguardKey
  readonly invite: InviteId
  readonly use: number
  readonly sinceMs: number
}

/** What an applicant asks for; the use number comes from the admitter. */
export type Wish = Pick<Claim, 'nodeId' | 'name' | 'v4' | 'wireguardKey'>

/** The claim of a member, by its own admission. */
export function claimOf(member: VerifiedMember): Claim {
  return claimFrom(member, member.admission)
}

/** The claim of an applicant under the use and date of its admission. */
export function claimFrom(applicant: Applicant, admission: Pick<Admission, 'use' | 'sinceMs'>): Claim {
  return {
    nodeId: applicant.nodeId,
    certificate: applicant.certificate,
    name: applicant.name,
    v4: applicant.addresses.v4,
    wireguardKey: applicant.wireguardKey,
    invite: applicant.invite.id,
    use: admission.use,
    sinceMs: admission.sinceMs,
  }
}

/**
 * The conflict between a wish and another node's claim, as the error that tells it; nothing when they get along.
 * A node never conflicts with itself.
 */
export function conflictOf(wish: Wish, held: Wish): RopewalkError | undefined {
  if (wish.nodeId === held.nodeId) return undefined
  if (wish.name === held.name) {
    return new RopewalkError('name-taken', `Another member holds the name “${wish.name}”`, {
      hint: 'choose another one with --name',
    })
  }
  if (wish.wireguardKey === held.wireguardKey) {
    return new RopewalkError('key-taken', `“${held.name}” holds that WireGuard key`, {
      hint: 'never copy a state folder; give each machine a ticket of its own',
    })
  }
  if (wish.v4 === held.v4) return new RopewalkError('address-taken', `“${held.name}” holds the address ${wish.v4}`)
  return undefined
}

/**
 * Which of two conflicting claims stands when a verifier learns of both at once: the earliest admission, and by the
 * smaller certificate hash when they are equally old. One that is known already is never displaced; that is the caller's rule.
 */
export function earlierClaim(a: Claim, b: Claim): Claim {
  if (a.sinceMs !== b.sinceMs) return a.sinceMs < b.sinceMs ? a : b
  return a.certificate <= b.certificate ? a : b
}
