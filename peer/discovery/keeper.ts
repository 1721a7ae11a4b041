import { messageOf } from '@ropewalk/shared/errors'
import type { Logger } from '@ropewalk/shared/logger'
import type { DiscoveryMemory } from './memory.ts'
import type { Registry, RegistryEvent } from './registry.ts'

const SAVE_DELAY_MS = 3_000

/** Keeps what the registry learns across restarts. */
export class Keeper {
  readonly #registry: Registry
  readonly #memory: DiscoveryMemory
  readonly #logger: Logger
  #timer: NodeJS.Timeout | undefined
  #unlisten: () => void = () => undefined

  constructor(registry: Registry, memory: DiscoveryMemory, logger: Logger) {
    this.#registry = registry
    this.#memory = memory
    this.#logger = logger
  }

  /** Reads what was known. Statements are verified again; what no longer holds is left out. */
  async load(): Promise<void> {
    const [revocations, policy, members] = await Promise.all([
      this.#memory.revocations(),
      this.#memory.policy(),
      this.#memory.members(),
    ])
    for (const { bundle } of members) this.#registry.recall(bundle)
    if (revocations !== undefined) this.#tolerate(() => this.#registry.acceptRevocations(revocations))
    if (policy !== undefined) this.#tolerate(() => this.#registry.acceptPolicy(policy))
    // authorities first; an admitter may stand anywhere in the list and hang on another one
    for (let pass = 0; pass < 3; pass++) {
      for (const { bundle } of members) this.#tolerate(() => this.#registry.acceptAuthority(bundle), true)
    }
    for (const one of members) this.#tolerate(() => this.#registry.restore(one.bundle, one.record, one.lastHeardMs))
  }

  start(): void {
    this.#unlisten = this.#registry.listen((event) => this.#note(event))
  }

  async stop(): Promise<void> {
    this.#unlisten()
    clearTimeout(this.#timer)
    await this.#save()
  }

  #note(event: RegistryEvent): void {
    if (event.kind === 'revocations') this.#write('revocations', this.#memory.saveRevocations(event.revocations.bytes))
    else if (event.kind === 'policy') this.#write('policy', this.#memory.savePolicy(event.policy.bytes))
    else if (event.kind === 'bundle' || event.kind === 'record' || event.kind === 'removed') {
      this.#timer ??= setTimeout(() => void this.#save(), SAVE_DELAY_MS)
    }
  }

  async #save(): Promise<void> {
    this.#timer = undefined
    const members = [...this.#registry.entries()].map(({ verified, record, lastHeardMs }) => ({
      bundle: verified.bundle,
      record: record?.bytes,
      lastHeardMs,
    }))
    await this.#write('members', this.#memory.saveMembers(members))
  }

  async #write(what: string, writing: Promise<void>): Promise<void> {
    await writing.catch((error: unknown) =>
      this.#logger.error('could not keep what was learned', { what, reason: messageOf(error) }),
    )
  }

  #tolerate(work: () => unknown, quiet = false): void {
    try {
      work()
    } catch (error) {
      if (!quiet) this.#logger.debug('a remembered statement no longer holds', { reason: messageOf(error) })
    }
  }
}
