import { toRopewalkError } from '@ropewalk/shared/errors'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import type { Discovery } from '../../discovery/index.ts'
import type { Document, OwedRelease } from '../../state/index.ts'
import type { Orders } from './orders.ts'

const EVERY_MS = 3_000

export interface OwedReleasesDependencies {
  readonly document: Document<readonly OwedRelease[]>
  readonly orders: Pick<Orders, 'release'>
  readonly discovery: Pick<Discovery, 'member'>
  readonly logger: Logger
}

/**
 * Leases that are over and whose worker could not be told: it was out of reach. It is told when it is back, or it would hold
 * its devices for nobody until their end. Kept on disk.
 */
export interface OwedReleases extends Startable {
  add(release: OwedRelease): Promise<void>
}

/** The owed releases of a state folder. */
export function createOwedReleases(dependencies: OwedReleasesDependencies): OwedReleases {
  const { document, orders, discovery, logger } = dependencies
  const forget = (done: OwedRelease) =>
    document.update((all = []) => all.filter(({ lease }) => lease !== done.lease)).then(() => undefined)

  async function pay(owed: OwedRelease): Promise<void> {
    if (Date.now() >= owed.notAfterMs) return await forget(owed)
    if (discovery.member(owed.nodeId)?.state !== 'online') return
    try {
      await orders.release(owed.nodeId, owed.lease)
      logger.info('a worker that was out of reach was told that its lease is over', { lease: owed.lease })
    } catch (error) {
      if (toRopewalkError(error).code !== 'not-found') return // it is over there where it is not known
    }
    await forget(owed)
  }

  async function payAll(): Promise<void> {
    const all = (await document.read()) ?? []
    await Promise.all(all.map(pay))
  }

  let timer: NodeJS.Timeout | undefined
  let paying: Promise<void> = Promise.resolve()
  const life = startable({
    start() {
      const next = (): void => {
        timer = setTimeout(() => {
          paying = payAll()
            .catch((error: unknown) => logger.warn('owed releases', { error }))
            .finally(() => timer !== undefined && next())
        }, EVERY_MS).unref()
      }
      next()
    },
    async stop() {
      clearTimeout(timer)
      timer = undefined
      await paying
    },
  })
  return {
    add: (release) => document.update((all = []) => [...all, release]).then(() => undefined),
    start: (options) => life.start(options),
    stop: () => life.stop(),
    [Symbol.asyncDispose]: () => life.stop(),
  }
}
