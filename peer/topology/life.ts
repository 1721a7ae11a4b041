import type { NodeId } from '@ropewalk/shared/identity'
import { isStock } from '@ropewalk/shared/membership'
import type { Member } from '../discovery/index.ts'

/** A node whose libp2p link broke has this long to come back before it counts as offline, in ms. */
export const RECONNECT_MS = 1_000

/**
 * Whose word counts for a member being alive.
 * `reports`: a relay's way. Who is linked to it speaks at least every 5 s, so silence is a fact.
 * `discovery`: everybody else's way. What the mesh says of a member, and the own packets that reach it.
 */
export type Liveness = 'reports' | 'discovery'

/** What is known when a member is judged. */
export interface Evidence {
  readonly liveness: Liveness
  readonly nowMs: number
  readonly self: NodeId
  /** Whether an own link to it carries packets now. */
  readonly linkUp: boolean
  readonly connected: boolean
  /** When a broken link was given up, if it was. */
  readonly lostAtMs: number | undefined
}

/** A judgement: heard at a time, or gone at once; `undefined` adds nothing to what is known. */
export type Sign = { readonly kind: 'heard'; readonly atMs: number } | { readonly kind: 'gone' } | undefined

/** What a member's state and the other evidence say about its life. */
export function signOfLife(member: Member, evidence: Evidence): Sign {
  const { nowMs, self, liveness } = evidence
  if (member.nodeId === self) return { kind: 'heard', atMs: nowMs }
  if (member.state === 'gone' || member.state === 'revoked') return { kind: 'gone' }
  // it has no peer that could speak: what it sends to us is all that we know
  if (isStock(member)) return evidence.linkUp ? { kind: 'heard', atMs: nowMs } : { kind: 'gone' }
  if (liveness === 'discovery') return evidence.linkUp ? { kind: 'heard', atMs: nowMs } : hearsay(member, nowMs)
  if (evidence.connected) return ownEars(member, evidence)
  if (member.state === 'silent') return { kind: 'gone' } // whoever lost its link has waited already
  return speaksToUs(member, evidence) ? ownEars(member, evidence) : hearsay(member, nowMs)
}

function hearsay({ state }: Member, nowMs: number): Sign {
  return state === 'online' ? { kind: 'heard', atMs: nowMs } : { kind: 'gone' }
}

function ownEars({ lastHeardMs }: Member, { nowMs, lostAtMs }: Evidence): Sign {
  const atMs = Math.min(lastHeardMs, nowMs)
  if (lostAtMs !== undefined && atMs <= lostAtMs) return { kind: 'gone' }
  return atMs === 0 ? undefined : { kind: 'heard', atMs }
}

/** Whether this relay should hear the member itself. One that keeps to other relays is known by what they spread. */
function speaksToUs({ record }: Member, { self, lostAtMs }: Evidence): boolean {
  const relays = record?.relays ?? []
  return lostAtMs !== undefined || relays.length === 0 || relays.includes(self)
}
