import type { MeshAddresses } from '@ropewalk/shared/addressing'
import { RopewalkError } from '@ropewalk/shared/errors'
import { type NodeId, type NodeName, nodeIdOf, type Tag, type WireguardKey } from '@ropewalk/shared/identity'
import { type Admission, openAdmission } from './admission.ts'
import type { Bundle } from './bundle.ts'
import { hashOfCertificate, openCertificate } from './certificate.ts'
import { type Invite, openInvite } from './invite.ts'
import { CLOCK_TOLERANCE_MS } from './limits.ts'
import type { Network } from './network.ts'
import type { Revocations } from './revocations.ts'
import type { CertificateHash, Right } from './terms.ts'

/** What a verifier knows when it looks at a bundle. */
export interface VerifierView {
  readonly network: Network
  readonly nowMs: number
  readonly revocations?: Revocations | undefined
  /** Whether a node is known to hold the right to admit (its authority verified, see {@link verifyAuthority}). */
  mayAdmit(admitter: NodeId): boolean
  /** Whether exactly this certificate was accepted here before. */
  knows?(certificate: CertificateHash): boolean
}

/** Who a certificate says a node is, signatures and invite checked; admitted or not. */
export interface Applicant {
  readonly nodeId: NodeId
  readonly name: NodeName
  readonly tags: readonly Tag[]
  readonly rights: readonly Right[]
  readonly wireguardKey: WireguardKey
  readonly addresses: MeshAddresses
  readonly certificate: CertificateHash
  readonly invite: Invite
  readonly bundle: Bundle
}

/** A member whose bundle is complete and verified. */
export interface VerifiedMember extends Applicant {
  readonly admission: Admission
}

/** Whether rights include that of admitting: relays admit too. */
export function rightsAdmit(rights: readonly Right[]): boolean {
  return rights.includes('admit') || rights.includes('relay')
}

/**
 * Checks everything about a bundle but its admission. `proven` is the key that the other end proved to hold.
 * @throws RopewalkError `bad-statement`, `bad-signature`, `wrong-network`, `wrong-key`, `missing-right`,
 * `address-taken`, `revoked`, `too-large`
 */
export function verifyApplicant(bundle: Bundle, view: VerifierView, proven?: NodeId): Applicant {
  const invite = openInvite(view.network, bundle.invite).body
  const statement = openCertificate(view.network, invite, bundle.certificate)
  const { nodeId, name, tags, wireguardKey, v4, v6 } = statement.body
  if (proven !== undefined && proven !== nodeId) {
    throw new RopewalkError('wrong-key', 'The certificate is of another node key than the one proven')
  }
  if (view.revocations?.nodes.has(nodeId) === true) throw new RopewalkError('revoked', `Member “${name}” is revoked`)
  const certificate = hashOfCertificate(statement)
  return { nodeId, name, tags, rights: invite.rights, wireguardKey, addresses: { v4, v6 }, certificate, invite, bundle }
}

/**
 * Checks a whole bundle: this node is a member now. @throws RopewalkError as {@link verifyApplicant}, and
 * `not-admitted`, `certificate-expired`, `clock-skew`, `ticket-expired`, `ticket-used`
 */
export function verifyMember(bundle: Bundle, view: VerifierView, proven?: NodeId): VerifiedMember {
  const member = verifyAdmitted(bundle, view, proven)
  if (member.admission.notAfterMs + CLOCK_TOLERANCE_MS < view.nowMs) {
    throw new RopewalkError('certificate-expired', `The admission of “${member.name}” has ended`, {
      hint: 'let it connect to a relay or admitter, which renews it',
    })
  }
  return member
}

/** As {@link verifyMember}, but an admission that has ended counts: what a renewal asks. @throws RopewalkError */
export function verifyAdmitted(bundle: Bundle, view: VerifierView, proven?: NodeId): VerifiedMember {
  const applicant = verifyApplicant(bundle, view, proven)
  if (bundle.admission === undefined) {
    throw new RopewalkError('not-admitted', `The certificate of “${applicant.name}” has no admission`)
  }
  const admission = checkAdmission(applicant, bundle.admission, view)
  if (bundle.anchor !== undefined) checkSameFirst(admission, checkAdmission(applicant, bundle.anchor, view))
  return { ...applicant, admission }
}

/**
 * Checks that a node holds the right to admit others, whether or not its own admission has ended: by its anchor, or its
 * admission where it has none. @throws RopewalkError as {@link verifyApplicant}, and `missing-right`, `not-admitted`
 */
export function verifyAuthority(bundle: Bundle, view: VerifierView, proven?: NodeId): Applicant {
  const applicant = verifyApplicant(bundle, view, proven)
  if (!rightsAdmit(applicant.rights)) {
    throw new RopewalkError('missing-right', `“${applicant.name}” may not admit others`)
  }
  const first = bundle.anchor ?? bundle.admission
  if (first === undefined) throw new RopewalkError('not-admitted', `“${applicant.name}” is not admitted itself`)
  const admission = checkAdmission(applicant, first, view)
  if (admission.admitter === applicant.nodeId) {
    throw new RopewalkError('not-admitted', `“${applicant.name}” was first admitted by itself`)
  }
  return applicant
}

function checkAdmission(applicant: Applicant, raw: Uint8Array, view: VerifierView): Admission {
  const { body } = openAdmission(view.network, raw)
  const { invite, name } = applicant
  if (body.certificate !== applicant.certificate || body.invite !== invite.id) {
    throw new RopewalkError('not-admitted', `The admission is not for the certificate of “${name}”`)
  }
  if (body.use > invite.uses) throw new RopewalkError('ticket-used', 'The invite was used more often than it allows')
  checkDates(body, invite, view)
  checkAdmitter(body, applicant, view)
  return body
}

function checkDates(admission: Admission, invite: Invite, view: VerifierView): void {
  if (admission.admittedAtMs > view.nowMs + CLOCK_TOLERANCE_MS) {
    throw new RopewalkError('clock-skew', 'The admission lies in the future', {
      hint: 'compare the clocks of the two ends',
    })
  }
  const early = admission.sinceMs < invite.notBeforeMs - CLOCK_TOLERANCE_MS
  const late = admission.sinceMs > invite.notAfterMs + CLOCK_TOLERANCE_MS
  if (early || late) throw new RopewalkError('ticket-expired', 'It was admitted outside the time of its invite')
  const inviteRevoked = view.revocations?.invites.get(invite.id)
  if (inviteRevoked !== undefined && admission.sinceMs > inviteRevoked) {
    throw new RopewalkError('revoked', 'It was admitted by an invite that was revoked before')
  }
}

function checkAdmitter(admission: Admission, applicant: Applicant, view: VerifierView): void {
  const { admitter } = admission
  if (admitter === nodeIdOf(view.network.rootKey)) return
  const revokedAtMs = view.revocations?.nodes.get(admitter)
  if (revokedAtMs !== undefined) {
    // whom it let in before is known here; what it signs now, under whatever date, counts no more
    if (admission.admittedAtMs <= revokedAtMs && view.knows?.(applicant.certificate) === true) return
    throw new RopewalkError('not-admitted', 'It was admitted by a node that is revoked', {
      hint: 'let it connect to another admitter, which renews it',
    })
  }
  if (!view.mayAdmit(admitter)) {
    throw new RopewalkError('not-admitted', 'It was admitted by a node that is not known to hold that right')
  }
}

function checkSameFirst(admission: Admission, anchor: Admission): void {
  if (admission.sinceMs !== anchor.sinceMs || admission.use !== anchor.use) {
    throw new RopewalkError('bad-statement', 'Admission and first admission do not fit together')
  }
}
