import { type RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'

/** Who was refused, as far as it is known. */
export interface Refused {
  readonly nodeId?: NodeId | undefined
  readonly address?: string | undefined
}

const WINDOW_MS = 10_000
const MOST_PER_WINDOW = 20

/** Logs refused strangers with their reason, without letting them fill the log. */
export class RefusalLog {
  readonly #logger: Logger
  #windowEndsMs = 0
  #said = 0
  #unsaid = 0

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Logs one refusal and gives back its error. */
  note(error: unknown, who: Refused): RopewalkError {
    const reason = toRopewalkError(error)
    const now = performance.now()
    if (now > this.#windowEndsMs) {
      if (this.#unsaid > 0) this.#logger.warn('refused more strangers than are shown', { count: this.#unsaid })
      this.#windowEndsMs = now + WINDOW_MS
      this.#said = 0
      this.#unsaid = 0
    }
    if (this.#said < MOST_PER_WINDOW) {
      this.#said++
      this.#logger.warn('refused a stranger', { code: reason.code, reason: reason.message, ...who })
    } else this.#unsaid++
    return reason
  }
}
