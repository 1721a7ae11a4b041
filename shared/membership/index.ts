export { type Admission, openAdmission, peekAdmission, signAdmission } from './admission.ts'
export {
  type Admitted,
  type Admitter,
  type AdmitterDependencies,
  type AdmitterOptions,
  type ClaimStore,
  createAdmitter,
} from './admitter.ts'
export { type Bundle, decodeBundle, encodeBundle } from './bundle.ts'
export {
  type Certificate,
  type CertificateOptions,
  hashOfCertificate,
  openCertificate,
  peekCertificate,
  signCertificate,
} from './certificate.ts'
export { type Claim, claimFrom, claimOf, conflictOf, earlierClaim, type Wish } from './claims.ts'
export { type Invite, type InviteOptions, openInvite, peekInvite, signInvite } from './invite.ts'
export { ADMISSION_LIFETIME_MS, CLOCK_TOLERANCE_MS, MAX_BUNDLE_BYTES, MAX_MEMBERS } from './limits.ts'
export { foundNetwork, type Network, type NetworkOptions, openNetwork, rootKeyHash } from './network.ts'
export { MAX_POLICY_BYTES, openPolicy, type PolicyStatement, signPolicy } from './policy-statement.ts'
export {
  MAX_REVOCATIONS_BYTES,
  type NewRevocations,
  newerRevocations,
  openRevocations,
  type Revocations,
  signRevocations,
} from './revocations.ts'
export { isStock, refuseStockTag, STOCK_TAG } from './stock.ts'
export {
  type CertificateHash,
  certificateHash,
  certificateHashOf,
  type InviteId,
  inviteIdOf,
  type Right,
} from './terms.ts'
export {
  formatTicket,
  MAX_WAYS,
  type MemberTicket,
  parseTicket,
  type RelayTicket,
  TICKET_PREFIX,
  type Ticket,
} from './ticket.ts'
export { type ApiToken, signToken, TOKEN_PREFIX, type TokenView, verifyToken } from './token.ts'
export {
  type Applicant,
  rightsAdmit,
  type VerifiedMember,
  type VerifierView,
  verifyAdmitted,
  verifyApplicant,
  verifyAuthority,
  verifyMember,
} from './verification.ts'
export { formatWayIn, parseRelayUrl, parseWayIn, type WayIn } from './way-in.ts'
