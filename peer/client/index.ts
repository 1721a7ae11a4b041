export { createLocalClient, findSocket, type LocalClient, type StreamWanted } from './local-client.ts'
