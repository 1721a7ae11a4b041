import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Connectivity } from './connectivity/index.ts'
import type { Discovery } from './discovery/index.ts'

const EVERY_MS = 5_000
const AFTER_CHANGE_MS = 500

export interface ReportsDependencies {
  readonly discovery: Discovery
  readonly connectivity: Connectivity
}

/** Tells the relays about this node's links every 5 s, and half a second after a change. */
export function createReports({ discovery, connectivity }: ReportsDependencies): Startable {
  let soon: NodeJS.Timeout | undefined
  let every: NodeJS.Timeout | undefined
  let unsubscribe: (() => void) | undefined
  const send = () => {
    clearTimeout(soon)
    soon = undefined
    discovery.sendReport(connectivity.report())
  }
  return startable({
    start() {
      every = setInterval(send, EVERY_MS)
      unsubscribe = connectivity.onChange(() => {
        soon ??= setTimeout(send, AFTER_CHANGE_MS)
      })
      send()
    },
    stop() {
      unsubscribe?.()
      clearInterval(every)
      clearTimeout(soon)
    },
  })
}
