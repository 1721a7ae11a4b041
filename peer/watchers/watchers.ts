import { RopewalkError, toProblem } from '@ropewalk/shared/errors'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import { createWatcher, type EventSink, eventWriter, type Mark, type Watched, type Watcher } from './watcher.ts'

/** Watchers are looked after this often, in ms: a revoked token's stream ends within it. */
const CARE_MS = 1_000

export interface WatchersOptions {
  /** At once; 256 unless said. */
  readonly limit?: number
  /** A silent stream says that it is alive this often, in ms; 10,000 unless said. */
  readonly heartbeatMs?: number
}

/** Who wants to watch. */
export interface WatchRequest {
  readonly sink: EventSink
  /** What it has seen, if it comes back. */
  readonly mark: Mark | undefined
  /** Whether it may still watch. @throws RopewalkError with the reason when not */
  readonly check: () => void
}

/** Everybody who watches something: each is given a snapshot, then deltas, and is let go when its right ends. */
export interface Watchers extends Startable {
  /** @throws RopewalkError `limit-reached` or `draining` */
  watch(request: WatchRequest): void
  readonly count: number
  /** Whether one more may come. */
  readonly hasRoom: boolean
}

/** Nobody watches yet. */
export function createWatchers(options: WatchersOptions, watched: Watched): Watchers {
  const { limit = 256, heartbeatMs = 10_000 } = options
  const all = new Map<Watcher, () => void>()
  const textOf = eventWriter()
  let timer: NodeJS.Timeout | undefined
  let open = false

  const care = () => {
    const now = performance.now()
    for (const [watcher, check] of all) {
      try {
        check()
        watcher.care(now)
      } catch (error) {
        watcher.end(toProblem(error))
      }
    }
  }
  const life = startable({
    start() {
      open = true
      timer = setInterval(care, CARE_MS)
      timer.unref()
    },
    stop() {
      open = false
      clearInterval(timer)
      for (const watcher of all.keys()) watcher.end(toProblem(new RopewalkError('draining')))
    },
  })
  return {
    get count() {
      return all.size
    },
    get hasRoom() {
      return open && all.size < limit
    },
    watch({ sink, mark, check }) {
      if (!open) throw new RopewalkError('draining')
      if (all.size >= limit) throw new RopewalkError('limit-reached', 'Too many watch already')
      const watcher = createWatcher({ sink, mark, heartbeatMs, textOf }, watched)
      all.set(watcher, check)
      sink.once('close', () => {
        watcher.leave()
        all.delete(watcher)
      })
    },
    start: (options) => life.start(options),
    stop: () => life.stop(),
    [Symbol.asyncDispose]: () => life.stop(),
  }
}
