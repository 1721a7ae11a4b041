export { registerTopologyMetrics } from './metrics.ts'
export { type EventSink, formatMark, parseMark } from './watcher.ts'
export { createWatchers, type Watchers, type WatchersOptions, type WatchRequest } from './watchers.ts'
