import { randomBytes } from 'node:crypto'
import type { NatClass } from '@ropewalk/shared/records'
import { decodeStun, encodeBindingRequest, type StunAddress } from '@ropewalk/shared/stun'

/** How an answer comes back to whoever asked. */
export interface ReflexiveAddress extends StunAddress {
  /** The engine's socket that is seen under this address. */
  readonly socket: number
}

export interface StunServer extends StunAddress {
  /** The name it stands for in a status: a relay's. */
  readonly name: string
}

export interface EngineSocket {
  readonly id: number
  readonly family: 4 | 6
}

/** Refreshing each 20 s keeps NAT mappings of 30 s and more alive (RFC 4787 allows no less than 120 s, homes have 30 s). */
export const REFRESH_MS = 20_000
/** RFC 8489 6.2.1: RTO 500 ms, doubled, and we give up after seven tries. */
const FIRST_RETRY_MS = 500
const TRIES = 7
const EXPIRE_MS = 3 * REFRESH_MS

interface Probe {
  readonly socket: EngineSocket
  readonly server: StunServer
  transaction: string
  tries: number
  nextAtMs: number
  mapped: StunAddress | undefined
  answeredAtMs: number
}

/**
 * Learns under which addresses the engine's sockets are seen, by binding requests to every known server. Pure but for random
 * transaction ids: the clock is passed in, bytes go out through `send`.
 */
export class ReflexiveAddresses {
  readonly #send: (socket: number, to: StunAddress, bytes: Uint8Array) => void
  #probes: Probe[] = []

  constructor(send: (socket: number, to: StunAddress, bytes: Uint8Array) => void) {
    this.#send = send
  }

  /** Sets who is asked from which sockets; what is known of pairs that stay is kept. */
  configure(sockets: readonly EngineSocket[], servers: readonly StunServer[], nowMs: number): void {
    const old = this.#probes
    this.#probes = sockets.flatMap((socket) =>
      servers
        .filter(({ address }) => (address.includes(':') ? 6 : 4) === socket.family)
        .map((server) => {
          const kept = old.find((probe) => probe.socket.id === socket.id && sameEndpoint(probe.server, server))
          return (
            kept ?? { socket, server, transaction: '', tries: 0, nextAtMs: nowMs, mapped: undefined, answeredAtMs: 0 }
          )
        }),
    )
  }

  /** Asks everybody again at once: the network under us has changed. */
  restart(nowMs: number): void {
    for (const probe of this.#probes) {
      probe.tries = 0
      probe.nextAtMs = nowMs
    }
  }

  /** Sends what is due; returns when to be called again, or nothing to do. */
  poll(nowMs: number): number | undefined {
    for (const probe of this.#probes) if (probe.nextAtMs <= nowMs) this.#ask(probe, nowMs)
    return this.#probes.length === 0 ? undefined : Math.min(...this.#probes.map((probe) => probe.nextAtMs))
  }

  /** Takes an answer that came to a socket. True when the set of addresses is another than before. */
  receive(socket: number, from: StunAddress, bytes: Uint8Array, nowMs: number): boolean {
    const probe = this.#probes.find((one) => one.socket.id === socket && sameEndpoint(one.server, from))
    if (probe === undefined || probe.transaction === '') return false
    let message: ReturnType<typeof decodeStun>
    try {
      message = decodeStun(bytes)
    } catch {
      return false
    }
    if (message.class !== 'success' || Buffer.from(message.transactionId).toString('hex') !== probe.transaction)
      return false
    if (message.mapped === undefined) return false
    const changed = probe.mapped === undefined || !sameEndpoint(probe.mapped, message.mapped)
    Object.assign(probe, { mapped: message.mapped, answeredAtMs: nowMs, transaction: '', tries: 0 })
    probe.nextAtMs = nowMs + REFRESH_MS
    return changed
  }

  /** Every address learned and still fresh, each once. */
  addresses(nowMs: number): ReflexiveAddress[] {
    const found: ReflexiveAddress[] = []
    for (const { socket, mapped, answeredAtMs } of this.#probes) {
      if (mapped === undefined || nowMs - answeredAtMs > EXPIRE_MS) continue
      if (found.some((one) => one.socket === socket.id && sameEndpoint(one, mapped))) continue
      found.push({ ...mapped, socket: socket.id })
    }
    return found
  }

  /** The NAT in front of us as far as it is seen: it takes two servers to tell an easy one from a hard one (RFC 4787, mapping behaviour). */
  natClass(localAddresses: ReadonlySet<string>): NatClass {
    const seen = this.#probes.flatMap(({ socket, mapped }) =>
      mapped === undefined ? [] : [{ socket: socket.id, mapped }],
    )
    const [first] = seen
    if (first === undefined) return 'unknown'
    if (seen.every(({ mapped }) => localAddresses.has(mapped.address))) return 'none'
    const ofOneSocket = seen.filter(({ socket }) => socket === first.socket)
    if (ofOneSocket.length < 2) return 'unknown'
    const same = ofOneSocket.every(({ mapped }) => sameEndpoint(mapped, first.mapped))
    return same ? 'easy' : 'hard'
  }

  #ask(probe: Probe, nowMs: number): void {
    if (probe.tries >= TRIES) {
      probe.tries = 0
      probe.transaction = ''
      probe.nextAtMs = nowMs + REFRESH_MS
      return
    }
    const id = randomBytes(12)
    probe.transaction = id.toString('hex')
    probe.nextAtMs = nowMs + FIRST_RETRY_MS * 2 ** probe.tries
    probe.tries += 1
    this.#send(probe.socket.id, probe.server, encodeBindingRequest(id))
  }
}

function sameEndpoint(a: StunAddress, b: StunAddress): boolean {
  return a.port === b.port && a.address === b.address
}
