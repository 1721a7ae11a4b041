export {
  createLocalClient,
  findSocket,
  type LocalClient,
  SOCKET_PATH_LIMIT_BYTES,
  type StreamWanted,
} from './local-client.ts'
