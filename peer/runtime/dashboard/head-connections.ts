import { Agent, type AgentOptions } from 'node:http'
import type { Socket } from 'node:net'

/** At once: a page of the dashboard asks for a handful of things. */
const MAX_CONNECTIONS = 8
/** Shorter than the head keeps them (75 s, aiohttp). */
const IDLE_MS = 30_000
const DIAL_TIMEOUT_MS = 30_000

/** An agent whose connections are dialled by us, and kept for a while: the dashboard asks anew every few seconds. */
export function keepAliveTo(dial: (signal: AbortSignal) => Promise<Socket>): Agent {
  return new DialledAgent(dial)
}

class DialledAgent extends Agent {
  readonly #dial: (signal: AbortSignal) => Promise<Socket>

  constructor(dial: (signal: AbortSignal) => Promise<Socket>) {
    super({ keepAlive: true, maxSockets: MAX_CONNECTIONS, timeout: IDLE_MS } satisfies AgentOptions)
    this.#dial = dial
  }

  override createConnection(_options: object, done?: (error: Error | null, stream: Socket) => void): undefined {
    this.#dial(AbortSignal.timeout(DIAL_TIMEOUT_MS)).then(
      (stream) => done?.(null, stream),
      (error: unknown) => done?.(error as Error, undefined as unknown as Socket),
    )
    return undefined
  }
}
