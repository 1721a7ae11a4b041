export { addEvents, type EventsOptions } from './events.ts'
export type { JobBytes, SentPackage } from './job-bytes.ts'
export {
  createLocalServer,
  type LocalDoor,
  type LocalServerDependencies,
  type LocalServerOptions,
} from './local-server.ts'
export {
  type Authorize,
  addManners,
  type Caller,
  type HandlerInput,
  type Handlers,
  type MountOptions,
  mount,
} from './mount.ts'
export { addOpenApi, type Described } from './openapi.ts'
export type { OpenedStream } from './stream-gate.ts'
