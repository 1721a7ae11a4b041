import { setTimeout as delay } from 'node:timers/promises'
import { RopewalkError } from '@ropewalk/shared/errors'

/** How a race is run. */
export interface RaceOptions {
  readonly signal: AbortSignal
  /** How long an attempt has the field for itself, in ms. */
  readonly staggerMs: number
  /** Most attempts at once. */
  readonly atOnce: number
}

/**
 * Tries addresses one after the other without waiting for those before (RFC 8305): the next starts when one fails or
 * after `staggerMs`. The first success ends the others. @throws the first failure when all have failed, or the signal's
 * reason; `unreachable` for no address at all
 */
export async function raceAddresses<Address, T>(
  addresses: readonly Address[],
  attempt: (address: Address, signal: AbortSignal) => Promise<T>,
  { signal, staggerMs, atOnce }: RaceOptions,
): Promise<T> {
  if (addresses.length === 0) throw new RopewalkError('unreachable', 'No address is known')
  const won = new AbortController()
  const both = AbortSignal.any([signal, won.signal])
  const failures: unknown[] = []
  const running = new Set<Promise<T | undefined>>()
  const start = (address: Address): void => {
    const one: Promise<T | undefined> = attempt(address, both)
      .catch((error: unknown) => {
        failures.push(error)
        return undefined
      })
      .finally(() => running.delete(one))
    running.add(one)
  }
  const queue = addresses[Symbol.iterator]()
  try {
    for (let next = queue.next(); !next.done || running.size > 0; ) {
      both.throwIfAborted()
      if (!next.done && running.size < atOnce) {
        start(next.value)
        next = queue.next()
      }
      const free = !next.done && running.size < atOnce
      const winner = await Promise.race([...running, ...(free ? [pause(staggerMs, both)] : [])])
      if (winner !== undefined) return winner
    }
    throw failures[0]
  } finally {
    won.abort()
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<undefined> {
  await delay(ms, undefined, { signal }).catch(() => undefined)
  return undefined
}
