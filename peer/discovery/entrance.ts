import { setTimeout as delay } from 'node:timers/promises'
import { type ErrorCode, errorFromWire, isRopewalkError, RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { NodeId, SigningKey } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import {
  type Bundle,
  decodeBundle,
  encodeBundle,
  rightsAdmit,
  verifyApplicant,
  type WayIn,
} from '@ropewalk/shared/membership'
import type { AdmitAnswer } from '@ropewalk/shared/records'
import type { Dialer } from './dialer.ts'
import { knock } from './door.ts'
import { toPrivateKey } from './libp2p-ids.ts'
import type { DiscoveryMemory } from './memory.ts'
import type { RefusalLog } from './refusals.ts'
import type { Registry } from './registry.ts'

/** What the way in stands on. */
export interface EntranceOptions {
  readonly registry: Registry
  readonly dialer: Dialer
  readonly key: SigningKey
  readonly waysIn: readonly WayIn[]
  readonly memory: Pick<DiscoveryMemory, 'saveBundle' | 'nextBundle' | 'dropApplication'>
  readonly refusals: RefusalLog
  readonly logger: Logger
}

const AT_ONCE = 4
const STAGGER_MS = 150
const KNOCK_TIMEOUT_MS = 10_000
const FIRST_PAUSE_MS = 500
const LAST_PAUSE_MS = 10_000

/** Refusals that another admitter would not lift. */
const FINAL: readonly ErrorCode[] = [
  'ticket-expired',
  'ticket-used',
  'revoked',
  'name-taken',
  'key-taken',
  'missing-right',
  'clock-skew',
  'bad-signature',
  'bad-statement',
  'wrong-network',
]

/** Asks admitters until one lets this node in. */
export class Entrance {
  readonly #options: EntranceOptions

  constructor(options: EntranceOptions) {
    this.#options = options
  }

  /**
   * Returns the admitted bundle, kept already. Several admitters are tried at once; while none can be reached it goes on
   * trying until the signal fires. @throws RopewalkError the refusal, or `unreachable`
   */
  async enter(bundle: Bundle, signal: AbortSignal): Promise<Bundle> {
    const { memory, logger } = this.#options
    let current = bundle
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS)) {
      const outcome = await this.#askAll(current, signal).catch((error: unknown) => toRopewalkError(error))
      if (!(outcome instanceof RopewalkError)) return await this.#keep(outcome)
      if (outcome.code === 'address-taken') {
        const next = await memory.nextBundle()
        if (next === undefined) throw outcome
        current = next
        pauseMs = FIRST_PAUSE_MS / 2
        continue
      }
      if (FINAL.includes(outcome.code)) {
        await memory.dropApplication()
        throw outcome
      }
      logger.warn('no admitter could be asked yet', { code: outcome.code, reason: outcome.message, pauseMs })
      await delay(pauseMs, undefined, { signal }).catch(() => {
        throw new RopewalkError('unreachable', `No admitter could be asked: ${outcome.message}`, {
          hint: 'is the relay running and reachable from here?',
          cause: outcome,
        })
      })
    }
  }

  /**
   * Has an admission renewed by whoever opens a door, asked once each: for a member that is none until then.
   * @throws RopewalkError the refusal, or `unreachable`
   */
  async renew(bundle: Bundle, signal: AbortSignal): Promise<Bundle> {
    return await this.#keep(await this.#askAll(bundle, signal))
  }

  /** Completes a bundle with an answer, checks the whole and keeps it. @throws RopewalkError when the answer does not hold */
  async accept(bundle: Bundle, answer: Extract<AdmitAnswer, { kind: 'admitted' }>): Promise<Bundle> {
    return await this.#keep(this.#complete(bundle, answer))
  }

  #complete(bundle: Bundle, answer: Extract<AdmitAnswer, { kind: 'admitted' }>): Bundle {
    const { registry, key } = this.#options
    for (const raw of answer.chain) {
      try {
        registry.acceptAuthority(decodeBundle(raw))
      } catch (error) {
        if (!isRopewalkError(error)) throw error // it may be known by a newer one; the check below decides
      }
    }
    const { rights } = verifyApplicant(bundle, registry.view(), key.nodeId)
    const anchor = rightsAdmit(rights) ? (bundle.anchor ?? bundle.admission) : undefined
    const whole: Bundle = {
      certificate: bundle.certificate,
      invite: bundle.invite,
      admission: answer.admission,
      anchor,
    }
    registry.acceptBundle(whole, { proven: key.nodeId })
    return whole
  }

  async #keep(whole: Bundle): Promise<Bundle> {
    await this.#options.memory.saveBundle(whole)
    return whole
  }

  /** The bundle with the first admission of all admitters that holds; else the refusal that weighs most. */
  async #askAll(bundle: Bundle, signal: AbortSignal): Promise<Bundle> {
    const doors = this.#doors()
    if (doors.length === 0) throw new RopewalkError('unreachable', 'No admitter is known')
    const done = new AbortController()
    const both = AbortSignal.any([signal, done.signal])
    const refusals: RopewalkError[] = []
    const queue = doors.entries()
    const work = async (): Promise<Bundle> => {
      for (const [index, door] of queue) {
        if (index > 0 && index < AT_ONCE) await delay(index * STAGGER_MS, undefined, { signal: both })
        try {
          return await this.#askOne(bundle, door, both)
        } catch (error) {
          const refusal = toRopewalkError(error)
          refusals.push(refusal)
          if (FINAL.includes(refusal.code)) done.abort()
          both.throwIfAborted()
        }
      }
      throw new RopewalkError('unreachable')
    }
    try {
      return await Promise.any(Array.from({ length: Math.min(AT_ONCE, doors.length) }, work))
    } catch {
      const weightiest =
        refusals.find(({ code }) => FINAL.includes(code)) ?? refusals.find(({ code }) => code === 'address-taken')
      throw weightiest ?? refusals[0] ?? new RopewalkError('unreachable', 'No admitter answers')
    } finally {
      done.abort()
    }
  }

  /** An answer that does not hold is a closed door: another admitter is asked. */
  async #askOne(bundle: Bundle, door: NodeId, signal: AbortSignal): Promise<Bundle> {
    const { registry, dialer, key, refusals } = this.#options
    const limited = AbortSignal.any([signal, AbortSignal.timeout(KNOCK_TIMEOUT_MS)])
    const known = dialer.addressesOf(door)
    const asked = await dialer.relayAddresses(door, limited)
    const addresses = [...known, ...asked.filter((one) => !known.some((old) => old.equals(one)))]
    if (addresses.length === 0) throw new RopewalkError('unreachable', 'The relay’s address cannot be learned')
    const answer = await knock({
      network: registry.network.id,
      key: await toPrivateKey(key),
      bundle: encodeBundle(bundle),
      at: { nodeId: door, addresses },
      checkDoor: (raw, nodeId) => this.#checkDoor(decodeBundle(raw), nodeId),
      refusals,
      signal: limited,
    })
    if (answer.kind === 'admitted') {
      try {
        return this.#complete(bundle, answer)
      } catch (error) {
        const { code, message } = toRopewalkError(error)
        if (!code.startsWith('bad-')) throw error
        throw new RopewalkError('not-admitted', `The admitter’s answer does not hold: ${message}`, { cause: error })
      }
    }
    throw errorFromWire(answer.code, answer.message, 'not-admitted')
  }

  /** Who may answer: a node that the root gave the right to admit. Its key is the one that was dialled. */
  #checkDoor(bundle: Bundle, nodeId: NodeId): void {
    const { rights, name } = verifyApplicant(bundle, this.#options.registry.view(), nodeId)
    if (!rightsAdmit(rights)) throw new RopewalkError('unreachable', `“${name}” is no admitter`)
  }

  #doors(): NodeId[] {
    const { registry, waysIn } = this.#options
    const admitters = [...registry.entries()].filter(({ verified }) => rightsAdmit(verified.rights))
    const ids = [...waysIn.map((way) => way.nodeId), ...admitters.map(({ verified }) => verified.nodeId)]
    return [...new Set(ids)].filter((id) => id !== registry.self)
  }
}
