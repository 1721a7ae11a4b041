export {
  createLocalServer,
  type LocalDoor,
  type LocalServerDependencies,
  type LocalServerOptions,
} from './local-server.ts'
export { addManners, type Caller, type HandlerInput, type Handlers, type MountOptions, mount } from './mount.ts'
export type { OpenedStream } from './stream-gate.ts'
