/**
 * A userspace WireGuard engine: standard wire protocol, many paths per peer, a TUN or no root at all, and a blind
 * forwarder for peers that cannot reach each other. JavaScript configures it and listens; it never sees a packet.
 */
export { Device, type WaitOptions } from './device.ts'
export { WireguardError, type WireguardErrorCode } from './errors.ts'
export type { DeviceEvent, PathState } from './events.ts'
export { Forwarder } from './forwarder.ts'
export { generatePrivateKey, publicKeyOf } from './keys.ts'
export { listenOnDevice } from './listen-on-device.ts'
export type { Listener } from './listener.ts'
export type {
  DeviceOptions,
  Endpoint,
  FilterOptions,
  FilterRule,
  ForwarderOptions,
  InterfaceOptions,
  PathOptions,
  PeerOptions,
  Prefix,
  ScheduleMode,
  SessionOptions,
  SessionSide,
} from './options.ts'
export type { SpliceFault } from './splice-fault.ts'
export {
  type Identity,
  makeIdentity,
  type Secured,
  type Splice,
  type SpliceBytes,
  type SpliceEnd,
  Splicer,
} from './splicer.ts'
export type {
  DeviceStatus,
  ForwarderStatus,
  PathStatus,
  PeerStatus,
  SessionSideStatus,
  SessionStatus,
  SocketInfo,
} from './status.ts'
export type { UdpSocket } from './udp-socket.ts'
