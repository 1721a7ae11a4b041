export type { PeerOptions } from './options.ts'
export { createPeer, type Peer, type PeerDependencies, type Rooms } from './peer.ts'
export { tunnelMembers } from './tunnel-members.ts'
