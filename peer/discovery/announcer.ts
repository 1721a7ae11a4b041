import { messageOf } from '@ropewalk/shared/errors'
import type { NodeId } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import type { DiscoveryEvent, Unsubscribe } from './face.ts'
import type { Registry, RegistryEvent } from './registry.ts'

/** Tells everybody outside this room what happened inside. */
export class Announcer {
  readonly #registry: Registry
  readonly #logger: Logger
  readonly #listeners = new Set<(event: DiscoveryEvent) => void>()

  constructor(registry: Registry, logger: Logger) {
    this.#registry = registry
    this.#logger = logger
    registry.listen((event) => this.#translate(event))
  }

  onChange(listener: (event: DiscoveryEvent) => void): Unsubscribe {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** A connection to a node is up, or the last one is gone. */
  connection(nodeId: NodeId, up: boolean): void {
    this.tell({ kind: up ? 'connected' : 'disconnected', nodeId })
  }

  /** Says something that a person should know. */
  warn(code: string, message: string, hint?: string): void {
    this.#logger.warn(message, { code, hint })
    this.tell({ kind: 'warning', code, message, hint })
  }

  tell(event: DiscoveryEvent): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event)
      } catch (error) {
        this.#logger.error('a listener of discovery failed', { event: event.kind, reason: messageOf(error), error })
      }
    }
  }

  #translate(event: RegistryEvent): void {
    const told = this.#told(event)
    if (told !== undefined) this.tell(told)
    if (event.kind === 'lost-claim') {
      const hint = 'join again under another name with a new ticket'
      this.warn(event.error.code, `Another node was admitted earlier: ${event.error.message}`, hint)
    }
  }

  #told(event: RegistryEvent): DiscoveryEvent | undefined {
    switch (event.kind) {
      case 'bundle':
      case 'record': {
        const { member } = event.entry
        if (event.before !== undefined) return { kind: 'updated', member, before: event.before }
        return member.nodeId === this.#registry.self ? undefined : { kind: 'joined', member }
      }
      case 'state':
        return { kind: 'state', member: event.member, before: event.before }
      case 'removed':
        return { kind: event.why === 'revoked' ? 'revoked' : 'left', member: event.member }
      case 'revocations':
        return { kind: 'revocations', revocations: event.revocations }
      case 'policy':
        return { kind: 'policy', policy: event.policy }
      case 'lost-claim':
      case 'own-record':
        return undefined
    }
  }
}
