import type { MeshAddress } from '@ropewalk/shared/addressing'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { Logger } from '@ropewalk/shared/logger'
import { type Lease, type LeaseStanding, type LeaseState, RESERVATION_MS } from '@ropewalk/shared/runtime'
import type { Host, Started } from './host.ts'

/** What a commit brings. */
export interface Commit {
  readonly token: string
  readonly head?: { readonly address: MeshAddress; readonly port: number } | undefined
}

/** What of this worker a lease got. */
export interface Given {
  /** First port of its block. */
  readonly ports: number
  /** Numbers of its GPUs. */
  readonly gpus: readonly number[]
}

/** Most ports that are opened for a lease beside its block. */
const MAX_OWN_PORTS = 256

const ALIVE: readonly LeaseState[] = ['starting', 'running']

/** One lease on this worker, from its reservation to its end. */
export class HeldLease {
  /** The latest statement of it. */
  lease: Lease
  readonly given: Given
  readonly #host: Host
  readonly #logger: Logger
  readonly #changed: () => void
  readonly #reservedUntilMs: number
  readonly #abort = new AbortController()
  readonly #waiting = new Set<() => void>()
  #state: LeaseState = 'reserved'
  #note: string | undefined
  #rayNode: string | undefined
  #opened: readonly number[] = []
  #looking = false
  #starting: Promise<Started> | undefined
  #ending: Promise<void> | undefined

  constructor(lease: Lease, given: Given, use: { host: Host; logger: Logger; changed: () => void; nowMs: number }) {
    this.lease = lease
    this.given = given
    this.#host = use.host
    this.#logger = use.logger.child({ lease: lease.id, cluster: lease.cluster })
    this.#changed = use.changed
    this.#reservedUntilMs = use.nowMs + RESERVATION_MS
  }

  get standing(): LeaseStanding {
    return { state: this.#state, ...this.given, rayNode: this.#rayNode, note: this.#note }
  }

  /**
   * Ports outside of its block that it listens on. Libraries for distributed training (gloo, NCCL) choose free ones
   * and tell each other; they are opened to the lease's members like its block.
   */
  get opened(): readonly number[] {
    return this.#opened
  }

  /** Whether its ports are open to its members. */
  get isOpen(): boolean {
    return ALIVE.includes(this.#state)
  }

  /** Why it has to end now; nothing while it may stay. */
  objection(nowMs: number): string | undefined {
    if (this.#state === 'reserved' && nowMs >= this.#reservedUntilMs) return 'it was reserved and not committed'
    return nowMs >= this.lease.notAfterMs ? 'its time is over' : undefined
  }

  /** Starts what was reserved. A second commit changes nothing. @throws RopewalkError `conflict` for one that has ended */
  commit({ token, head }: Commit): void {
    if (this.isOpen) return
    if (this.#state !== 'reserved') throw new RopewalkError('conflict', `The lease is ${this.#state}`)
    this.#go('starting', 'Ray is starting')
    const what = { lease: this.lease, ...this.given, token, head }
    this.#starting = this.#host.start(what, this.#abort.signal)
    this.#starting.then(
      (started) => this.#follow(started),
      (error: unknown) => this.#fail(error),
    )
  }

  /** Takes a later statement. */
  amend(lease: Lease): void {
    this.lease = lease
    this.#changed()
  }

  /** Sees which ports it listens on by now. */
  async lookForPorts(): Promise<void> {
    if (this.#looking || !this.isOpen) return
    this.#looking = true
    try {
      const found = (await (await this.#starting)?.ownPorts()) ?? []
      const ports = [...new Set(found)].sort((a, b) => a - b).slice(0, MAX_OWN_PORTS)
      if (!this.isOpen || String(ports) === String(this.#opened)) return
      this.#opened = ports
      this.#changed()
    } catch (error) {
      this.#logger.debug('its own ports are not known', { error })
    } finally {
      this.#looking = false
    }
  }

  /** Ends it; resolves when nothing of it is left. */
  end(why: string): Promise<void> {
    this.#ending ??= this.#end(why)
    return this.#ending
  }

  /** Resolves when its state is another one than `unlike`, or after `timeoutMs`. */
  async otherThan(unlike: string, timeoutMs: number): Promise<void> {
    if (this.#state !== unlike) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, timeoutMs)
    this.#waiting.add(resolve)
    await promise
    this.#waiting.delete(resolve)
    clearTimeout(timer)
  }

  #follow(started: Started): void {
    started.ready.then(
      (rayNode) => {
        this.#rayNode = rayNode
        if (this.#state === 'starting') this.#go('running')
      },
      (error: unknown) => this.#fail(error),
    )
    void started.ended.then(({ tail }) => {
      if (this.isOpen) this.#fail(new RopewalkError('runtime-failed', `Ray ended by itself: ${lastLine(tail)}`))
    })
  }

  #fail(error: unknown): void {
    if (!this.isOpen) return
    const reason = toRopewalkError(error)
    this.#logger.warn('lease failed', { code: reason.code, reason: reason.message })
    this.#go('failed', reason.message)
    void this.#stop()
  }

  async #end(why: string): Promise<void> {
    this.#logger.info('lease ends', { why })
    this.#go('ending', why)
    await this.#stop()
    this.#go('over', why)
  }

  async #stop(): Promise<void> {
    this.#abort.abort(new RopewalkError('aborted'))
    const started = await this.#starting?.catch(() => undefined) // it has told its reason
    await started?.stop()
  }

  #go(state: LeaseState, note?: string): void {
    this.#state = state
    this.#note = note?.slice(0, 400)
    for (const wake of [...this.#waiting]) wake()
    this.#changed()
  }
}

function lastLine(tail: string): string {
  return tail.trimEnd().split('\n').at(-1)?.slice(-300) ?? 'without a word'
}
