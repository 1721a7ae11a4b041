import type { LinkEnd, PathKind, TopologyLink } from './schema.ts'

/** A pair with what its ends said lately; at least one of them spoke. */
export interface ReportedPair {
  readonly a: string
  readonly b: string
  readonly endA?: LinkEnd
  readonly endB?: LinkEnd
}

/** The worse of two kinds is told, so that nobody reads "direct" while one direction goes over a relay. */
const WORST_LAST: readonly PathKind[] = ['direct', 'peer-relay', 'relay', 'tls']

/** One link out of what its two ends say. */
export function mergeLink(id: string, pair: ReportedPair): TopologyLink {
  const ends = [pair.endA, pair.endB].filter((end) => end !== undefined)
  const up = ends.filter((end) => end.up)
  const state = up.length === 0 ? 'down' : up.length === ends.length ? 'up' : 'one-way'
  const telling = up.length > 0 ? up : ends
  const kind = WORST_LAST[Math.max(...telling.map((end) => WORST_LAST.indexOf(end.kind)))] ?? 'direct'
  const rtts = telling.map((end) => end.rttMs).filter((rtt) => rtt !== undefined)
  return {
    id,
    a: pair.a,
    b: pair.b,
    state,
    kind,
    ...(rtts.length === 0 ? {} : { rttMs: Math.min(...rtts) }),
    ...(pair.endA === undefined ? {} : { endA: pair.endA }),
    ...(pair.endB === undefined ? {} : { endB: pair.endB }),
  }
}
