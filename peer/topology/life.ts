import type { NodeId } from '@ropewalk/shared/identity'
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
  const { nowMs, self, lostAtMs } = evidence
  if (member.nodeId === self) return { kind: 'heard', atMs: nowMs }
  if (member.state === 'gone' || member.state === 'revoked') return { kind: 'gone' }
  if (evidence.liveness === 'discovery' || !speaksToUs(member, evidence)) {
    if (evidence.linkUp || member.state === 'online') return { kind: 'heard', atMs: nowMs }
    return { kind: 'gone' } // discovery has waited already
  }
  const atMs = Math.min(member.lastHeardMs, nowMs)
  if (lostAtMs !== undefined && atMs <= lostAtMs) return { kind: 'gone' }
  return atMs === 0 ? undefined : { kind: 'heard', atMs }
}

/** Whether this relay should hear the member itself. One that keeps to other relays is known by what they spread. */
function speaksToUs(member: Member, { connected, self, lostAtMs }: Evidence): boolean {
  if (connected || lostAtMs !== undefined) return true
  const relays = member.record?.relays ?? []
  return relays.length === 0 || relays.includes(self)
}
