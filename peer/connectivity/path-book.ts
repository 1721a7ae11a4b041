import type { NodeId } from '@ropewalk/shared/identity'

/** Where a path leads and what it costs: lower classes are preferred whenever they work. */
export type PathKind = 'direct' | 'peer-relay' | 'relay' | 'tls'

/** Cost classes as the engine takes them. */
export const COST_CLASS: Readonly<Record<PathKind, number>> = { direct: 0, 'peer-relay': 1, relay: 2, tls: 3 }

/** One way to a member before the engine has probed it. */
export interface PathCandidate {
  readonly kind: PathKind
  /** The engine's socket to send from. */
  readonly socket: number
  readonly remote: { readonly address: string; readonly port: number }
  /** The relay that carries it. */
  readonly relay?: NodeId
  readonly session?: { readonly slot: number; readonly secret: Uint8Array }
}

/** A candidate with the number that the engine knows it by. */
export interface NumberedPath extends PathCandidate {
  readonly id: number
}

/**
 * Numbers the candidates of one member so that a candidate keeps its number for as long as it is offered: the engine keeps
 * what it has measured of ids that it knows.
 */
export class PathBook {
  #paths = new Map<string, NumberedPath>()
  #nextId = 1

  /** Replaces the set. True when it differs from the one before. */
  replace(candidates: readonly PathCandidate[]): boolean {
    const next = new Map<string, NumberedPath>()
    for (const candidate of candidates) {
      const key = keyOf(candidate)
      if (next.has(key)) continue
      next.set(key, this.#paths.get(key) ?? { ...candidate, id: this.#nextId++ })
    }
    const changed = next.size !== this.#paths.size || [...next.keys()].some((key) => !this.#paths.has(key))
    this.#paths = next
    return changed
  }

  /** Gives the direct candidates new numbers: the engine takes them for fresh ones and probes them at once. */
  renumberDirect(): void {
    for (const [key, path] of this.#paths) {
      if (path.kind === 'direct') this.#paths.set(key, { ...path, id: this.#nextId++ })
    }
  }

  get paths(): readonly NumberedPath[] {
    return [...this.#paths.values()]
  }

  byId(id: number): NumberedPath | undefined {
    return this.paths.find((path) => path.id === id)
  }
}

function keyOf({ kind, socket, remote, session }: PathCandidate): string {
  return [kind, socket, remote.address, remote.port, session?.slot ?? ''].join(' ')
}
