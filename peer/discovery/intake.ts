import { isRopewalkError, type RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import { type Bundle, decodeBundle, peekAdmission, peekInvite, rightsAdmit } from '@ropewalk/shared/membership'
import type { SyncMessage } from '@ropewalk/shared/records'
import type { Registry } from './registry.ts'

type Push = Extract<SyncMessage, { readonly kind: 'push' }>

const SLICE = 16

/** Takes in what neighbours push: lists first, then whoever may admit, then the others, then records. */
export class Intake {
  readonly #registry: Registry
  readonly #logger: Logger

  constructor(registry: Registry, logger: Logger) {
    this.#registry = registry
    this.#logger = logger
  }

  /**
   * Verifies and keeps what is good of a push. What cannot be verified is passed over: a neighbour may know more than we
   * do, or less. @throws RopewalkError for what no honest neighbour would send
   */
  async take(push: Push, origin: NodeId): Promise<void> {
    if (push.revocations !== undefined) this.#registry.acceptRevocations(push.revocations, origin)
    if (push.policy !== undefined) this.#registry.acceptPolicy(push.policy, origin)
    await this.#bundles(push.bundles.map(decodeBundle), origin)
    await inSlices(push.records, (raw) => this.#tolerate(() => this.#registry.acceptRecord(raw, origin), origin))
  }

  /** Admitters first, then by age: what the verification of one bundle needs is there before it, and the earlier claim wins. */
  async #bundles(bundles: readonly Bundle[], origin: NodeId): Promise<void> {
    const ordered = bundles
      .map((bundle) => ({ bundle, ...rankOf(bundle) }))
      .toSorted((a, b) => a.rank - b.rank || a.sinceMs - b.sinceMs)
    let open = ordered
    for (let before = Number.POSITIVE_INFINITY; open.length > 0 && open.length < before; ) {
      before = open.length
      const left: typeof open = []
      await inSlices(open, (one) => {
        const refused = this.#tolerate(() => this.#registry.acceptBundle(one.bundle, { origin }), origin)
        if (refused?.code === 'not-admitted') left.push(one)
      })
      open = left
    }
  }

  #tolerate(work: () => unknown, origin: NodeId): RopewalkError | undefined {
    try {
      work()
      return undefined
    } catch (error) {
      if (!isRopewalkError(error)) throw error
      if (error.code === 'bad-statement' || error.code === 'bad-signature' || error.code === 'bad-input') throw error
      this.#logger.debug('passed over a statement', { code: error.code, reason: error.message, origin })
      return error
    }
  }
}

/** By what a bundle says; its verification comes later and decides. */
function rankOf(bundle: Bundle): { readonly rank: number; readonly sinceMs: number } {
  try {
    const first = bundle.anchor ?? bundle.admission
    const sinceMs = first === undefined ? 0 : peekAdmission(first).sinceMs
    return { rank: rightsAdmit(peekInvite(bundle.invite).rights) ? 0 : 1, sinceMs }
  } catch {
    return { rank: 2, sinceMs: 0 } // its own turn tells why
  }
}

/** Signatures take time: other work gets its turn in between. */
async function inSlices<T>(items: readonly T[], work: (item: T) => void): Promise<void> {
  for (const [index, item] of items.entries()) {
    work(item)
    if (index % SLICE === SLICE - 1) await new Promise((resolve) => setImmediate(resolve))
  }
}
