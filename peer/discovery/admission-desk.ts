import type { SecureConnectionOptions } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { NodeId, SigningKey } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import {
  type Admitted,
  type Admitter,
  type ClaimStore,
  claimOf,
  createAdmitter,
  decodeBundle,
  encodeBundle,
} from '@ropewalk/shared/membership'
import { encodeAdmitAnswer, MAX_ADMIT_BYTES } from '@ropewalk/shared/records'
import { HandshakeOver, type Shown } from './handshake.ts'
import type { Registry } from './registry.ts'

/** What an admitter's desk stands on. */
export interface AdmissionDeskOptions {
  readonly registry: Registry
  readonly key: SigningKey
  readonly claims: ClaimStore
  readonly logger: Logger
}

const MOST_AT_ONCE = 32
const FAREWELL_MS = 2_000

/**
 * Where applicants are answered. It happens inside the handshake: an applicant gets its answer and the connection ends,
 * before a muxer, identify, the DHT or any other protocol could be reached.
 */
export class AdmissionDesk {
  readonly #registry: Registry
  readonly #admitter: Admitter
  readonly #logger: Logger
  #busy = 0

  constructor({ registry, key, claims, logger }: AdmissionDeskOptions) {
    this.#registry = registry
    this.#logger = logger
    const members = () => [...registry.entries()].map(({ verified }) => claimOf(verified))
    this.#admitter = createAdmitter({ key }, { store: claims, view: () => registry.view(), members })
  }

  /** Answers an applicant at the door. @throws HandshakeOver always, when it has its answer */
  async serve({ connection, nodeId, bundle }: Shown, options?: SecureConnectionOptions): Promise<void> {
    const answer = await this.answer(bundle, nodeId)
    const stream = lpStream(connection, { maxDataLength: MAX_ADMIT_BYTES })
    await stream.write(answer, options)
    // the applicant hangs up first: what we end may be lost on its way
    await stream.read({ signal: AbortSignal.timeout(FAREWELL_MS) }).catch(() => undefined)
    throw new HandshakeOver('the applicant has its answer')
  }

  /** The answer to a bundle whose bearer proved the key; a refusal is an answer too. */
  async answer(raw: Uint8Array, proven: NodeId): Promise<Uint8Array> {
    if (this.#busy >= MOST_AT_ONCE)
      return encodeAdmitAnswer({ kind: 'refused', code: 'rate-limited', message: 'Too many applicants' })
    this.#busy++
    try {
      const admitted = await this.#decide(raw, proven)
      const { name, rights } = admitted.applicant
      this.#logger.info(admitted.renewed ? 'renewed a member' : 'admitted a member', { name, nodeId: proven, rights })
      const chain = this.#registry.chainOf(admitted.admission.admitter).map(encodeBundle)
      return encodeAdmitAnswer({ kind: 'admitted', admission: admitted.bytes, chain })
    } catch (error) {
      const { code, message } = toRopewalkError(error)
      this.#logger.warn('refused an applicant', { code, reason: message, nodeId: proven })
      return encodeAdmitAnswer({ kind: 'refused', code, message: message.slice(0, 160) })
    } finally {
      this.#busy--
    }
  }

  async #decide(raw: Uint8Array, proven: NodeId): Promise<Admitted> {
    if (this.#registry.revocations?.nodes.has(this.#registry.self) === true) {
      throw new RopewalkError('unreachable', 'This admitter is revoked itself')
    }
    const bundle = decodeBundle(raw)
    // an admitter that comes back late renewed itself or was renewed by others: its anchor tells what it is
    if (bundle.anchor !== undefined) this.#registry.acceptAuthority(bundle, proven)
    return await this.#admitter.admit(bundle, proven)
  }
}
