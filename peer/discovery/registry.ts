import { createHash } from 'node:crypto'
import { isRopewalkError, RopewalkError } from '@ropewalk/shared/errors'
import { isNodeId, type NodeId, nodeIdOf, publicKeyOf } from '@ropewalk/shared/identity'
import {
  type Applicant,
  type Bundle,
  type CertificateHash,
  CLOCK_TOLERANCE_MS,
  claimOf,
  earlierClaim,
  encodeBundle,
  hashOfCertificate,
  MAX_MEMBERS,
  type Network,
  openPolicy,
  openRevocations,
  type PolicyStatement,
  peekCertificate,
  peekInvite,
  type Revocations,
  rightsAdmit,
  type VerifiedMember,
  type VerifierView,
  verifyAuthority,
  verifyMember,
} from '@ropewalk/shared/membership'
import { type Holding, type NodeRecord, openRecord, peekRecord, RECORD_FUTURE_MS } from '@ropewalk/shared/records'
import type { Statement } from '@ropewalk/shared/statement'
import type { Member, MemberState } from './face.ts'
import { Holders } from './holders.ts'

/** What the registry tells, after the fact. `origin` is the neighbour it came from, if any. */
export type RegistryEvent =
  | {
      readonly kind: 'bundle'
      readonly entry: Entry
      readonly before: Member | undefined
      readonly origin?: NodeId | undefined
    }
  | { readonly kind: 'record'; readonly entry: Entry; readonly before: Member; readonly origin?: NodeId | undefined }
  | { readonly kind: 'state'; readonly member: Member; readonly before: MemberState }
  | { readonly kind: 'removed'; readonly member: Member; readonly why: 'revoked' | 'left' | 'unfounded' }
  | { readonly kind: 'revocations'; readonly revocations: Revocations; readonly origin?: NodeId | undefined }
  | { readonly kind: 'policy'; readonly policy: PolicyStatement; readonly origin?: NodeId | undefined }
  | { readonly kind: 'own-record'; readonly seq: number }
  /** Another node was admitted earlier under something that this node holds. */
  | { readonly kind: 'lost-claim'; readonly error: RopewalkError }

/** All that is held of one member. */
export interface Entry {
  readonly verified: VerifiedMember
  readonly bundle: Uint8Array
  readonly record?: Statement<NodeRecord> | undefined
  readonly lastHeardMs: number
  /** Where somebody who should know said that nothing was heard of it any more. */
  readonly silent: boolean
  /** The face of it, made anew with every change. */
  readonly member: Member
}

/** What the registry stands on. */
export interface RegistryOptions {
  readonly network: Network
  readonly self: NodeId
  /** Wall clock, ms. */
  now(): number
}

/** All verified members, records and lists that this node knows. It does no I/O; everything that comes in is checked here. */
export class Registry {
  readonly network: Network
  readonly self: NodeId
  readonly now: () => number
  readonly #entries = new Map<NodeId, Entry>()
  readonly #authorities = new Map<NodeId, Bundle>()
  readonly #holders = new Holders()
  readonly #known = new Set<CertificateHash>()
  readonly #listeners = new Set<(event: RegistryEvent) => void>()
  #revocations: Revocations | undefined
  #policy: PolicyStatement | undefined
  #digest: Uint8Array | undefined

  constructor({ network, self, now }: RegistryOptions) {
    this.network = network
    this.self = self
    this.now = now
  }

  /** Hears everything that changes. */
  listen(listener: (event: RegistryEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  get revocations(): Revocations | undefined {
    return this.#revocations
  }

  get policy(): PolicyStatement | undefined {
    return this.#policy
  }

  /** What is known, as a verifier wants it. */
  view(): VerifierView {
    return {
      network: this.network,
      nowMs: this.now(),
      revocations: this.#revocations,
      mayAdmit: (id) => this.#authorities.has(id),
      knows: (certificate) => this.#known.has(certificate),
    }
  }

  /** All that is held of a node, this one too. */
  get(id: NodeId): Entry | undefined {
    return this.#entries.get(id)
  }

  /** The member of a node id, name or IPv4 address; IPv6 is looked for by walking. */
  find(word: string): Entry | undefined {
    // a node id is that node or nobody, however others are called
    if (isNodeId(word)) return this.#entries.get(word)
    const id = this.#holders.find(word)
    if (id !== undefined) return this.#entries.get(id)
    for (const entry of word.includes(':') ? this.#entries.values() : []) {
      if (entry.verified.addresses.v6 === word) return entry
    }
    return undefined
  }

  /** Everything that is held, this node too. */
  entries(): IterableIterator<Entry> {
    return this.#entries.values()
  }

  /** Bundles of the admitters from the root down to this one, for whoever has only the root's key. */
  chainOf(admitter: NodeId): Bundle[] {
    const chain: Bundle[] = []
    for (let id: NodeId | undefined = admitter; id !== undefined && chain.length < 8; ) {
      const bundle = this.#authorities.get(id)
      if (bundle === undefined) break
      chain.unshift(bundle)
      id = this.#entries.get(id)?.verified.admission.admitter
      if (id === admitter || id === nodeIdOf(this.network.rootKey)) break
    }
    return chain
  }

  /** Notes who may admit others, whether or not its own admission has ended. @throws RopewalkError why it may not */
  acceptAuthority(bundle: Bundle, proven?: NodeId): Applicant {
    const applicant = verifyAuthority(bundle, this.view(), proven)
    this.#authorities.set(applicant.nodeId, bundle)
    return applicant
  }

  /**
   * Verifies a bundle and takes it in if it is new. `proven` is the key its bearer proved.
   * @throws RopewalkError with the reason, as `verifyMember`, and `name-taken`, `key-taken`, `address-taken`, `limit-reached`
   */
  acceptBundle(bundle: Bundle, context: { readonly proven?: NodeId; readonly origin?: NodeId } = {}): Entry {
    const encoded = encodeBundle(bundle)
    const same = this.#unchanged(bundle, encoded, context.proven)
    if (same !== undefined) return same
    this.#tryAuthority(bundle, context.proven)
    const verified = verifyMember(bundle, this.view(), context.proven)
    const held = this.#entries.get(verified.nodeId)
    if (held !== undefined && held.verified.admission.admittedAtMs >= verified.admission.admittedAtMs) return held
    if (held === undefined && this.#entries.size >= MAX_MEMBERS)
      throw new RopewalkError('limit-reached', 'The network is full')
    this.#settleConflicts(verified)
    const keepsRecord = held?.verified.certificate === verified.certificate
    const entry = this.#put({
      verified,
      bundle: encoded,
      record: keepsRecord ? held.record : undefined,
      lastHeardMs: held?.lastHeardMs ?? 0,
      silent: held?.silent ?? false,
    })
    this.#known.add(verified.certificate)
    this.#digest = undefined
    this.#emit({ kind: 'bundle', entry, before: held?.member, origin: context.origin })
    return entry
  }

  /**
   * Takes in a record of a known member. Returns whether it was new. @throws RopewalkError `not-admitted` for a
   * stranger's, `clock-skew` for one from the future, `bad-statement`, `bad-signature`
   */
  acceptRecord(raw: Uint8Array, origin?: NodeId): boolean {
    const { nodeId, seq } = peekRecord(raw)
    const held = this.#entries.get(nodeId)
    if (held === undefined) throw new RopewalkError('not-admitted', 'A record of a node that is not admitted')
    if (held.record !== undefined && held.record.body.seq >= seq) return false
    if (seq > this.now() + RECORD_FUTURE_MS) throw new RopewalkError('clock-skew', 'A record from the future')
    const record = openRecord(raw)
    if (record.body.certificateHash !== held.verified.certificate) {
      throw new RopewalkError('not-admitted', 'A record under another certificate')
    }
    if (nodeId === this.self && origin !== undefined) {
      // an echo of ours that is newer than what we remember: written before a loss of state, or by a second holder of our key
      this.#emit({ kind: 'own-record', seq })
      return false
    }
    const entry = this.#put({ ...held, record, lastHeardMs: this.now(), silent: false })
    this.#digest = undefined
    this.#emit({ kind: 'record', entry, before: held.member, origin })
    this.#tellState(held.member.state, entry.member)
    return true
  }

  /** Notes that a certificate was accepted before a restart, before anything is put back. */
  recall({ certificate }: Bundle): void {
    this.#known.add(hashOfCertificate({ bytes: certificate }))
  }

  /** Puts back what was remembered across a restart: nothing is told, and when it was heard last stays. */
  restore(bundle: Bundle, record: Uint8Array | undefined, lastHeardMs: number): void {
    const entry = this.acceptBundle(bundle)
    if (record !== undefined) this.acceptRecord(record)
    this.#put({ ...(this.#entries.get(entry.verified.nodeId) ?? entry), lastHeardMs })
  }

  /** Takes in a revocation list and cuts whoever is on it. Returns whether it was newer. @throws RopewalkError */
  acceptRevocations(raw: Uint8Array, origin?: NodeId): boolean {
    const offered = openRevocations(this.network, raw)
    if (this.#revocations !== undefined && offered.seq <= this.#revocations.seq) return false
    this.#revocations = offered
    this.#digest = undefined
    for (const id of offered.nodes.keys()) {
      this.#authorities.delete(id)
      this.#remove(id, 'revoked')
    }
    this.#dropUnfounded()
    this.#emit({ kind: 'revocations', revocations: offered, origin })
    return true
  }

  /**
   * Lets go of members that only a revoked admitter vouches for, since a time after its revocation, and of whom they let
   * in. Who was let in before stays: it is known here, and another admitter renews it (docs/decisions/0018).
   */
  #dropUnfounded(): void {
    const root = nodeIdOf(this.network.rootKey)
    for (let dropped = true; dropped; ) {
      dropped = false
      for (const { verified } of [...this.#entries.values()]) {
        const { nodeId, admission } = verified
        const { admitter, sinceMs } = admission
        const revokedAtMs = this.#revocations?.nodes.get(admitter)
        const founded = revokedAtMs === undefined ? this.#authorities.has(admitter) : sinceMs <= revokedAtMs
        if (founded || admitter === root || nodeId === this.self) continue
        this.#authorities.delete(nodeId)
        this.#known.delete(verified.certificate)
        this.#remove(nodeId, 'unfounded')
        dropped = true
      }
    }
  }

  /** Takes in a policy. Returns whether it was newer. @throws RopewalkError */
  acceptPolicy(raw: Uint8Array, origin?: NodeId): boolean {
    const offered = openPolicy(this.network, raw)
    if (this.#policy !== undefined && offered.seq <= this.#policy.seq) return false
    this.#policy = offered
    this.#digest = undefined
    this.#emit({ kind: 'policy', policy: offered, origin })
    return true
  }

  /** Notes that a member was heard of just now. */
  heard(id: NodeId): void {
    const held = this.#entries.get(id)
    if (held === undefined || id === this.self) return
    const entry = this.#put({ ...held, lastHeardMs: this.now(), silent: false })
    this.#tellState(held.member.state, entry.member)
  }

  /** Notes that nothing is heard of a member any more, as of its record `seq`; a newer record has the last word. */
  fellSilent(id: NodeId, seq: number): void {
    const held = this.#entries.get(id)
    if (held === undefined || held.silent || (held.record?.body.seq ?? 0) > seq || id === this.self) return
    const entry = this.#put({ ...held, silent: true })
    this.#tellState(held.member.state, entry.member)
  }

  /** Looks at what time alone has changed: records that ran out, admissions that ended. Call it now and then. */
  sweep(): void {
    const now = this.now()
    for (const entry of [...this.#entries.values()]) {
      const { nodeId, admission } = entry.verified
      if (nodeId !== this.self && admission.notAfterMs + CLOCK_TOLERANCE_MS < now) this.#remove(nodeId, 'left')
      else if (stateOf(entry, now) !== entry.member.state) this.#tellState(entry.member.state, this.#put(entry).member)
    }
  }

  /** What is held, for the other side of a sync. */
  holdings(): Holding[] {
    return [...this.#entries.values()].map(({ verified, record }) => ({
      nodeId: verified.nodeId,
      seq: record?.body.seq ?? 0,
      admittedAtMs: verified.admission.admittedAtMs,
    }))
  }

  /** Hash over all that is held: equal ones mean that nothing is missing. 32 bytes. */
  digest(): Uint8Array {
    this.#digest ??= this.#computeDigest()
    return this.#digest
  }

  #computeDigest(): Uint8Array {
    const hash = createHash('sha256')
    hash.update(`${this.#revocations?.seq ?? 0}/${this.#policy?.seq ?? 0}\n`)
    for (const id of [...this.#entries.keys()].sort()) {
      const entry = this.#entries.get(id)
      hash.update(publicKeyOf(id))
      hash.update(`${entry?.record?.body.seq ?? 0}/${entry?.verified.admission.admittedAtMs}\n`)
    }
    return new Uint8Array(hash.digest())
  }

  /** The entry of a bundle that is held byte for byte and has not ended: its signatures were checked already. */
  #unchanged(bundle: Bundle, encoded: Uint8Array, proven: NodeId | undefined): Entry | undefined {
    const { nodeId } = peekCertificate(bundle.certificate)
    const held = this.#entries.get(nodeId)
    if (held === undefined || (proven !== undefined && proven !== nodeId)) return undefined
    const current = held.verified.admission.notAfterMs > this.now() && this.#revocations?.nodes.has(nodeId) !== true
    return current && Buffer.compare(held.bundle, encoded) === 0 ? held : undefined
  }

  #tryAuthority(bundle: Bundle, proven: NodeId | undefined): void {
    if (!rightsAdmit(peekInvite(bundle.invite).rights)) return
    try {
      this.acceptAuthority(bundle, proven)
    } catch (error) {
      if (!isRopewalkError(error)) throw error // the whole is verified next, and tells what is wrong
    }
  }

  /** A known holder is never displaced; who sees both at once takes the earlier first (see the sync). */
  #settleConflicts(newcomer: VerifiedMember): void {
    const claim = claimOf(newcomer)
    const conflict = this.#holders.conflict(claim)
    if (conflict === undefined) return
    const { held, error } = conflict
    if (held.nodeId === this.self && earlierClaim(held, claim) === claim) this.#emit({ kind: 'lost-claim', error })
    throw error
  }

  #put(parts: Omit<Entry, 'member'>): Entry {
    const { verified, bundle, record, lastHeardMs, silent } = parts
    const { invite: _invite, ...face } = verified
    const member = { ...face, record: record?.body, lastHeardMs, state: stateOf(parts, this.now()) }
    const entry: Entry = { verified, bundle, record, lastHeardMs, silent, member }
    const before = this.#entries.get(verified.nodeId)?.verified
    if (before !== verified) this.#holders.replace(before && claimOf(before), claimOf(verified))
    this.#entries.set(verified.nodeId, entry)
    return entry
  }

  #remove(id: NodeId, why: 'revoked' | 'left' | 'unfounded'): void {
    const held = this.#entries.get(id)
    if (held === undefined) return
    this.#entries.delete(id)
    this.#holders.replace(claimOf(held.verified), undefined)
    this.#digest = undefined
    const member: Member = why === 'revoked' ? { ...held.member, state: 'revoked' } : held.member
    this.#emit({ kind: 'removed', member, why })
  }

  #tellState(before: MemberState, member: Member): void {
    if (before !== member.state) this.#emit({ kind: 'state', member, before })
  }

  #emit(event: RegistryEvent): void {
    for (const listener of [...this.#listeners]) listener(event)
  }
}

function stateOf(entry: Pick<Entry, 'record' | 'silent'>, now: number): MemberState {
  const record = entry.record?.body
  if (record?.gone === true) return 'gone'
  if (record === undefined || entry.silent || record.seq + record.ttlMs < now) return 'silent'
  return 'online'
}
