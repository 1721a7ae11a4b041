export type { PeerOptions } from './options.ts'
export { createPeer, type Peer, type PeerDependencies } from './peer.ts'
export type { Rooms } from './rooms.ts'
export { tunnelMembers } from './tunnel-members.ts'
