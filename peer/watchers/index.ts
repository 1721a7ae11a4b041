export { DeltaRing, type DeltaRingLimits, itemsIn } from './delta-ring.ts'
export { type EventSink, type Mark, parseMark, type Watched } from './watcher.ts'
export { createWatchers, type Watchers, type WatchersOptions, type WatchRequest } from './watchers.ts'
