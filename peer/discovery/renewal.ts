import { isRopewalkError, messageOf, RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import { rightsAdmit } from '@ropewalk/shared/membership'
import { ADMIT_PROTOCOL, decodeAdmitAnswer, MAX_ADMIT_BYTES } from '@ropewalk/shared/records'
import type { AdmissionDesk } from './admission-desk.ts'
import type { Entrance } from './entrance.ts'
import type { Registry } from './registry.ts'
import type { Requests } from './requests.ts'

/** What renewals stand on. */
export interface RenewalOptions {
  readonly registry: Registry
  readonly requests: Requests
  readonly entrance: Entrance
  /** The own desk, if this node may admit. */
  readonly desk: AdmissionDesk | undefined
  readonly logger: Logger
}

const CHECK_MS = 1_000
const RETRY_MS = 10 * 60_000
/** Who is no member any more tries harder: nothing else works until then. */
const RETRY_ENDED_MS = 10_000
const DOORS_TIMEOUT_MS = 15_000
const SOON_MS = 2_000
const TRIES = 3

/** Has the own admission renewed when half of it is over, or when whoever gave it is revoked. */
export class Renewal {
  readonly #options: RenewalOptions
  #timer: NodeJS.Timeout | undefined
  #unlisten: () => void = () => undefined
  #busy = false
  #nextMs = 0
  readonly #stopped = new AbortController()

  constructor(options: RenewalOptions) {
    this.#options = options
  }

  start(): void {
    const soon = (): void => {
      this.#nextMs = performance.now() + SOON_MS
    }
    soon()
    // the wall clock decides, and a machine may have slept for a month: timers would not tell
    this.#timer = setInterval(() => void this.check(), CHECK_MS)
    this.#unlisten = this.#options.registry.listen((event) => {
      if (event.kind === 'revocations') soon()
    })
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#stopped.abort()
    this.#unlisten()
  }

  /** Renews if it is time. Failures are logged and tried again later. */
  async check(): Promise<void> {
    if (this.#busy || performance.now() < this.#nextMs || !this.#due()) return
    this.#busy = true
    try {
      await this.#renew()
    } catch (error) {
      if (this.#stopped.signal.aborted) return
      this.#nextMs = performance.now() + (this.#ended() ? RETRY_ENDED_MS : RETRY_MS)
      this.#options.logger.warn('the admission could not be renewed yet', { reason: messageOf(error) })
    } finally {
      this.#busy = false
    }
  }

  #due(): boolean {
    const { registry } = this.#options
    const admission = registry.get(registry.self)?.verified.admission
    if (admission === undefined) return false
    const half = admission.admittedAtMs + (admission.notAfterMs - admission.admittedAtMs) / 2
    return registry.now() > half || registry.revocations?.nodes.has(admission.admitter) === true
  }

  #ended(): boolean {
    const { registry } = this.#options
    const admission = registry.get(registry.self)?.verified.admission
    return admission !== undefined && admission.notAfterMs < registry.now()
  }

  async #renew(): Promise<void> {
    const { registry, requests, entrance, desk, logger } = this.#options
    const self = registry.get(registry.self)
    if (self === undefined) return
    const asks = this.#admitters().map(
      (id) => () => requests.request(id, ADMIT_PROTOCOL, self.bundle, { maxBytes: MAX_ADMIT_BYTES }),
    )
    // last, for a network whose other admitters are all away: the root gave the right, and only the root takes it
    if (desk !== undefined) asks.push(() => desk.answer(self.bundle, registry.self))
    for (const ask of asks) {
      try {
        const answer = decodeAdmitAnswer(await ask())
        if (answer.kind === 'refused') throw new RopewalkError('not-admitted', answer.message)
        await entrance.accept(self.verified.bundle, answer)
        logger.info('the admission was renewed')
        return
      } catch (error) {
        if (!isRopewalkError(error)) throw error
        logger.debug('an admitter did not renew', { code: error.code, reason: error.message })
      }
    }
    // whoever is a member no more, as it slept too long or its admitter was revoked, is refused as one and asks at the door
    await entrance.renew(
      self.verified.bundle,
      AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(DOORS_TIMEOUT_MS)]),
    )
    logger.info('the admission was renewed at the door')
  }

  #admitters(): NodeId[] {
    const { registry } = this.#options
    const may = [...registry.entries()].filter(
      ({ verified, member }) => rightsAdmit(verified.rights) && member.state === 'online',
    )
    return may
      .map(({ verified }) => verified.nodeId)
      .filter((id) => id !== registry.self)
      .slice(0, TRIES)
  }
}
