import { multiaddr } from '@multiformats/multiaddr'
import { networkPrefix6, prefixContains } from '@ropewalk/shared/addressing'
import { isRopewalkError } from '@ropewalk/shared/errors'
import type { NodeId, SigningKey } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import { type NodeRecord, nextSeq, RECORD_TTL_MS, signRecord } from '@ropewalk/shared/records'
import type { Offer } from '@ropewalk/shared/runtime'
import type { Statement } from '@ropewalk/shared/statement'
import type { RecordPatch } from './face.ts'
import type { Registry } from './registry.ts'

/** What the publisher stands on. */
export interface PublisherOptions {
  readonly registry: Registry
  readonly key: SigningKey
  readonly logger: Logger
  readonly relay: NodeRecord['relay']
  /** Multiaddrs of the libp2p host as it is now. */
  addresses(): readonly string[]
  /** Neighbours of the sync as they are now. */
  neighbours(): readonly NodeId[]
  /** Relays among them. */
  relays(): readonly NodeId[]
}

const DEBOUNCE_MS = 200
const RESIGN_MS = 20 * 60_000
const LATEST_RESIGN_MS = 2 * RESIGN_MS
const MAX_ADDRESSES = 12
const SHORT_MODEL = 20
const LINKS_DELAY_MS = 30_000
const DUPLICATE_AFTER_MS = 2_000
const OVERTAKE_EVERY_MS = 30_000

type Draft = Required<RecordPatch>

/** Signs the own record: on change, 200 ms after the last one, and every 20 min ± 20 %. */
export class Publisher {
  readonly #options: PublisherOptions
  #draft: Draft
  #timer: NodeJS.Timeout | undefined
  #resign: NodeJS.Timeout | undefined
  #linksTimer: NodeJS.Timeout | undefined
  #atLeast = 0
  #startedAtMs = 0
  #overtookAtMs = 0
  #running = false

  constructor(options: PublisherOptions) {
    this.#options = options
    this.#draft = {
      candidates: [],
      nat: 'unknown',
      relays: [],
      services: [],
      sshHostKeys: [],
      routes: [],
      relay: options.relay,
      offer: undefined,
    }
  }

  /** Signs the first record at once. What changed before is in it. */
  start(): void {
    this.#running = true
    this.#startedAtMs = this.#options.registry.now()
    this.#publish()
  }

  /** Signs the last record: this node goes on purpose. */
  stop(): void {
    if (!this.#running) return
    this.#running = false
    this.#clear()
    this.#sign(true)
  }

  /** Changes what the record says; it is signed after the last change of a burst. */
  change(patch: RecordPatch): void {
    this.#draft = { ...this.#draft, ...patch }
    this.refresh()
  }

  /** Signs again soon: something that the record shows has changed. */
  refresh(): void {
    if (!this.#running) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#publish(), DEBOUNCE_MS)
  }

  /** Signs again when the record is old by the wall clock: timers stand still while a machine sleeps. */
  freshen(): void {
    const { registry } = this.#options
    const seq = registry.get(registry.self)?.record?.body.seq
    if (this.#running && seq !== undefined && seq + LATEST_RESIGN_MS < registry.now()) this.#publish()
  }

  /** The links changed: at once where relays are concerned, which others look for, else some time later. */
  linksChanged(ofRelay: boolean): void {
    if (!this.#running) return
    if (ofRelay) this.refresh()
    else this.#linksTimer ??= setTimeout(() => this.#publish(), LINKS_DELAY_MS)
  }

  /**
   * Others hold a record of this node that is newer than its own: it is overtaken. Written since this node runs, it is
   * by a `second` holder of the key; else by ourselves, before a state was lost.
   */
  meetOwn(seq: number): 'earlier' | 'second' {
    const now = this.#options.registry.now()
    const second = this.#startedAtMs !== 0 && seq > this.#startedAtMs + DUPLICATE_AFTER_MS
    // two that overtake each other must not do it all day long
    if (!second || now - this.#overtookAtMs > OVERTAKE_EVERY_MS) {
      this.#overtookAtMs = now
      this.#atLeast = Math.max(this.#atLeast, seq)
      this.refresh()
    }
    return second ? 'second' : 'earlier'
  }

  #publish(): void {
    this.#clear()
    this.#sign(false)
    this.#resign = setTimeout(() => this.#publish(), RESIGN_MS * (0.8 + 0.4 * Math.random()))
    this.#resign.unref()
  }

  #clear(): void {
    for (const timer of [this.#timer, this.#resign, this.#linksTimer]) clearTimeout(timer)
    this.#linksTimer = undefined
  }

  #sign(gone: boolean): void {
    const { registry, logger } = this.#options
    const self = registry.get(registry.self)
    if (self === undefined) return
    const seq = nextSeq(Math.max(self.record?.body.seq ?? 0, this.#atLeast), registry.now())
    const record = {
      ...this.#draft,
      certificateHash: self.verified.certificate,
      seq,
      ttlMs: RECORD_TTL_MS,
      addresses: this.#addresses(),
      relays: (this.#draft.relays.length > 0 ? this.#draft.relays : this.#options.relays()).slice(0, 8),
      neighbours: this.#options.neighbours().slice(0, 8),
      ...(gone ? { gone } : {}),
    }
    const signed = this.#fit(record)
    registry.acceptRecord(signed.bytes)
    logger.debug('signed the own record', { seq, bytes: signed.bytes.length, addresses: record.addresses, gone })
  }

  /** A record over 2 KiB loses what helps least, step by step, and says so. */
  #fit(record: Omit<NodeRecord, 'nodeId'>): Statement<NodeRecord> {
    const smaller: ((one: Omit<NodeRecord, 'nodeId'>) => Omit<NodeRecord, 'nodeId'>)[] = [
      (one) => one,
      (one) => ({
        ...one,
        neighbours: [],
        addresses: one.addresses.slice(0, 6),
        candidates: one.candidates.slice(0, 10),
      }),
      (one) => ({ ...one, sshHostKeys: one.sshHostKeys.filter((key) => key.length < 300) }),
      (one) => ({ ...one, services: one.services.slice(0, 16), routes: one.routes.slice(0, 4) }),
      ({ offer, ...one }) => ({ ...one, ...(offer === undefined ? {} : { offer: withShortModels(offer) }) }),
    ]
    let draft = record
    for (const step of smaller) {
      draft = step(draft)
      try {
        return signRecord(draft, this.#options.key)
      } catch (error) {
        if (!isRopewalkError(error, 'too-large')) throw error
        this.#options.logger.warn('the own record is over 2 KiB and is shortened', {
          addresses: draft.addresses.length,
        })
      }
    }
    return signRecord({ ...draft, services: [], sshHostKeys: [], routes: [], candidates: [] }, this.#options.key)
  }

  /** Where others may dial: not over the mesh itself, and over loopback only where there is nothing else. */
  #addresses(): string[] {
    const { registry } = this.#options
    const inside = [networkPrefix6(registry.network.id), registry.network.ipv4Prefix]
    const usable = this.#options.addresses().filter((text) => {
      const address = hostOf(text)
      return address === undefined || !inside.some((prefix) => prefixContains(prefix, address))
    })
    const outside = usable.filter((text) => !isLoopback(hostOf(text)))
    return (outside.length > 0 ? outside : usable).slice(0, MAX_ADDRESSES)
  }
}

/** Sixteen GPUs with long names are half a record. */
function withShortModels(offer: Offer): Offer {
  return { ...offer, gpus: offer.gpus.map((gpu) => ({ ...gpu, model: gpu.model.slice(0, SHORT_MODEL) })) }
}

function hostOf(text: string): string | undefined {
  return multiaddr(text)
    .getComponents()
    .find((part) => part.name === 'ip4' || part.name === 'ip6')?.value
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && (address === '::1' || address.startsWith('127.'))
}
