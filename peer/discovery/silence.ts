import type { NodeId } from '@ropewalk/shared/identity'
import type { Registry } from './registry.ts'
import type { Sync } from './sync.ts'

const GRACE_MS = 1_500

/**
 * On a relay, to which every member keeps a link: a link that ends and does not come back within a moment means that
 * the member is gone without a word. A killed process is told within 2 s, a silent one within 15 s (its link runs out).
 */
export class SilenceWatch {
  readonly #registry: Registry
  readonly #sync: Sync
  readonly #waiting = new Map<NodeId, NodeJS.Timeout>()

  constructor(registry: Registry, sync: Sync) {
    this.#registry = registry
    this.#sync = sync
  }

  linkChanged(peer: NodeId, up: boolean): void {
    clearTimeout(this.#waiting.get(peer))
    this.#waiting.delete(peer)
    if (!up)
      this.#waiting.set(
        peer,
        setTimeout(() => this.#tell(peer), GRACE_MS),
      )
  }

  stop(): void {
    for (const timer of this.#waiting.values()) clearTimeout(timer)
    this.#waiting.clear()
  }

  #tell(peer: NodeId): void {
    this.#waiting.delete(peer)
    const entry = this.#registry.get(peer)
    if (entry === undefined || entry.member.state === 'gone') return
    const seq = entry.record?.body.seq ?? 0
    this.#registry.fellSilent(peer, seq)
    this.#sync.tellSilence([[peer, seq]])
  }
}
