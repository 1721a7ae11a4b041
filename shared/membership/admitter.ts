import { isRopewalkError, RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId, SigningKey } from '@ropewalk/shared/identity'
import { type Admission, signAdmission } from './admission.ts'
import type { Bundle } from './bundle.ts'
import { type Claim, claimFrom, conflictOf } from './claims.ts'
import type { Invite } from './invite.ts'
import { ADMISSION_LIFETIME_MS, CLOCK_TOLERANCE_MS, MAX_MEMBERS } from './limits.ts'
import { type Applicant, type VerifierView, verifyAdmitted, verifyApplicant } from './verification.ts'

/** The durable memory of an admitter: whom it let in. It outlives restarts, so a ticket is not used twice. */
export interface ClaimStore {
  /** Every claim it wrote, in any order. */
  claims(): Iterable<Claim>
  /** Writes a claim, replacing an older one of the same node; resolves when it is safe on disk. */
  put(claim: Claim): Promise<void>
}

/** What an admitter stands on. */
export interface AdmitterDependencies {
  readonly store: ClaimStore
  /** The present view of the network. */
  view(): VerifierView
  /** Claims of the members that are known from elsewhere. */
  members(): Iterable<Claim>
}

/** Its own key, and how long an admission lasts (ms; 30 days unless said). */
export interface AdmitterOptions {
  readonly key: SigningKey
  readonly lifetimeMs?: number
}

/** An admitter's answer. */
export interface Admitted {
  readonly applicant: Applicant
  readonly admission: Admission
  /** The admission as signed bytes, for the applicant's bundle. */
  readonly bytes: Uint8Array
  /** Whether it was known already: the answer to a renewal or to a repeated request. */
  readonly renewed: boolean
}

/** Decides who comes in. One decision at a time, so that two joiners cannot take one name between them. */
export interface Admitter {
  /**
   * Admits or renews the node whose key `proven` is. @throws RopewalkError with the reason: as `verifyApplicant`, and
   * `ticket-expired`, `ticket-used`, `clock-skew`, `name-taken`, `key-taken`, `address-taken`, `limit-reached`
   */
  admit(bundle: Bundle, proven: NodeId): Promise<Admitted>
}

/** Makes the pure core of an admitter. */
export function createAdmitter(options: AdmitterOptions, dependencies: AdmitterDependencies): Admitter {
  return new SerialAdmitter(options, dependencies)
}

class SerialAdmitter implements Admitter {
  readonly #key: SigningKey
  readonly #lifetimeMs: number
  readonly #dependencies: AdmitterDependencies
  #last: Promise<unknown> = Promise.resolve()

  constructor({ key, lifetimeMs = ADMISSION_LIFETIME_MS }: AdmitterOptions, dependencies: AdmitterDependencies) {
    this.#key = key
    this.#lifetimeMs = Math.min(lifetimeMs, ADMISSION_LIFETIME_MS)
    this.#dependencies = dependencies
  }

  admit(bundle: Bundle, proven: NodeId): Promise<Admitted> {
    const mine = this.#last.then(() => this.#decide(bundle, proven))
    this.#last = mine.catch(() => undefined)
    return mine
  }

  async #decide(bundle: Bundle, proven: NodeId): Promise<Admitted> {
    const view = this.#dependencies.view()
    const applicant = verifyApplicant(bundle, view, proven)
    const others = this.#claims(view).filter((claim) => claim.nodeId !== proven)
    const before = this.#known(applicant, bundle, view)
    for (const other of others) {
      const conflict = conflictOf({ ...applicant, v4: applicant.addresses.v4 }, other)
      if (conflict !== undefined) throw conflict
    }
    const { use, sinceMs } = before ?? this.#firstUse(applicant.invite, others, view)
    await this.#dependencies.store.put(claimFrom(applicant, { use, sinceMs }))
    const signed = signAdmission(
      view.network,
      {
        certificate: applicant.certificate,
        invite: applicant.invite.id,
        use,
        sinceMs,
        admittedAtMs: Math.max(view.nowMs, sinceMs),
        notAfterMs: Math.max(view.nowMs, sinceMs) + this.#lifetimeMs,
      },
      this.#key,
    )
    return { applicant, admission: signed.body, bytes: signed.bytes, renewed: before !== undefined }
  }

  /** All claims there are, without those of revoked nodes: they free what they held. */
  #claims(view: VerifierView): readonly Claim[] {
    const byNode = new Map<NodeId, Claim>()
    for (const claim of [...this.#dependencies.members(), ...this.#dependencies.store.claims()]) {
      const held = byNode.get(claim.nodeId)
      if (held === undefined || held.sinceMs <= claim.sinceMs) byNode.set(claim.nodeId, claim)
    }
    return [...byNode.values()].filter((claim) => view.revocations?.nodes.has(claim.nodeId) !== true)
  }

  /** The earlier admission of exactly this certificate, from memory or as the applicant shows it. */
  #known(applicant: Applicant, bundle: Bundle, view: VerifierView): Pick<Claim, 'use' | 'sinceMs'> | undefined {
    const mine = [...this.#dependencies.store.claims(), ...this.#dependencies.members()]
    const held = mine.find((claim) => claim.nodeId === applicant.nodeId && claim.certificate === applicant.certificate)
    if (held !== undefined) return held
    if (bundle.admission === undefined) return undefined
    try {
      return verifyAdmitted(bundle, view, applicant.nodeId).admission
    } catch (error) {
      // as if it showed none: whose admitter was revoked may come in once more while its invite is good
      if (isRopewalkError(error, 'not-admitted') && isOpen(applicant.invite, view)) return undefined
      throw error // another admitter may know better
    }
  }

  #firstUse(invite: Invite, others: readonly Claim[], view: VerifierView): Pick<Claim, 'use' | 'sinceMs'> {
    checkOpen(invite, view)
    if (others.length >= MAX_MEMBERS) throw new RopewalkError('limit-reached', 'The network is full')
    const taken = new Set(others.filter((claim) => claim.invite === invite.id).map((claim) => claim.use))
    for (let use = 1; use <= invite.uses; use++) if (!taken.has(use)) return { use, sinceMs: view.nowMs }
    throw new RopewalkError(
      'ticket-used',
      `The ticket has been used ${invite.uses === 1 ? 'once' : `${invite.uses} times`}, as often as it may be`,
      {
        hint: 'ask for another one: ropewalk invite',
      },
    )
  }
}

function isOpen(invite: Invite, view: VerifierView): boolean {
  try {
    checkOpen(invite, view)
    return true
  } catch {
    return false
  }
}

function checkOpen(invite: Invite, view: VerifierView): void {
  if (view.revocations?.invites.has(invite.id) === true) throw new RopewalkError('revoked', 'The invite is revoked')
  if (view.nowMs > invite.notAfterMs + CLOCK_TOLERANCE_MS) {
    throw new RopewalkError('ticket-expired', 'The ticket is past its time', {
      hint: 'ask for another one: ropewalk invite',
    })
  }
  if (view.nowMs < invite.notBeforeMs - CLOCK_TOLERANCE_MS) {
    throw new RopewalkError('clock-skew', 'The ticket is not valid yet', { hint: 'compare the clocks of the two ends' })
  }
}
