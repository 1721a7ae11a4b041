import { RopewalkError } from '@ropewalk/shared/errors'
import type { NodeId, SigningKey } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import {
  type Link,
  MAX_REPORT_BYTES,
  nextSeq,
  openReport,
  REPORT_PROTOCOL,
  type Report,
  signReport,
} from '@ropewalk/shared/records'
import type { Member, Unsubscribe } from './face.ts'
import type { Registry } from './registry.ts'
import type { Requests } from './requests.ts'

/** What reports stand on. */
export interface ReportsOptions {
  readonly registry: Registry
  readonly requests: Requests
  readonly key: SigningKey
  readonly logger: Logger
  /** Relays there is a link to. */
  relays(): readonly NodeId[]
}

type Listener = (report: Report, from: Member) => void

/** Tells the relays about the own links, and hears what others tell. */
export class Reports {
  readonly #options: ReportsOptions
  readonly #listeners = new Set<Listener>()
  readonly #heard = new Map<NodeId, number>()
  #latest: { readonly seq: number; readonly bytes: Uint8Array } | undefined

  constructor(options: ReportsOptions) {
    this.#options = options
    options.requests.handle(REPORT_PROTOCOL, { maxBytes: MAX_REPORT_BYTES }, (raw, from) => this.#take(raw, from))
  }

  /** Signs a report and sends it to every linked relay. */
  send(links: readonly Link[]): void {
    const { registry, key, relays } = this.#options
    const seq = nextSeq(this.#latest?.seq, registry.now())
    this.#latest = { seq, bytes: signReport({ seq, atMs: registry.now(), links }, key).bytes }
    for (const relay of relays()) this.#deliver(relay)
  }

  /** A relay is linked now: it gets the newest report. */
  relayLinked(relay: NodeId): void {
    if (this.#latest !== undefined) this.#deliver(relay)
  }

  onReport(listener: Listener): Unsubscribe {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #deliver(relay: NodeId): void {
    const { requests, logger } = this.#options
    if (this.#latest === undefined) return
    requests.request(relay, REPORT_PROTOCOL, this.#latest.bytes, { maxBytes: 16 }).catch((error: unknown) => {
      // the next one comes in 5 s
      logger.debug('a report did not arrive', { relay, reason: error instanceof Error ? error.message : String(error) })
    })
  }

  #take(raw: Uint8Array, from: Member): Uint8Array {
    const report = openReport(raw).body
    if (report.nodeId !== from.nodeId) throw new RopewalkError('wrong-key', 'A report about another node')
    if (report.seq <= (this.#heard.get(from.nodeId) ?? -1)) return new Uint8Array()
    this.#heard.set(from.nodeId, report.seq)
    this.#options.registry.heard(from.nodeId)
    for (const listener of [...this.#listeners]) listener(report, from)
    return new Uint8Array()
  }
}
