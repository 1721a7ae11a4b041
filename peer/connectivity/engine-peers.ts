import { type NodeId, wireguardKeyBytes } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import { isStock } from '@ropewalk/shared/membership'
import type { Candidate } from '@ropewalk/shared/records'
import type { Device, PathOptions, PeerOptions } from 'node-wireguard'
import type { Member } from '../discovery/index.ts'
import { isLoopback } from './local-addresses.ts'
import { familyOf, type OwnCandidates } from './own-candidates.ts'
import { COST_CLASS, type NumberedPath, PathBook, type PathCandidate } from './path-book.ts'
import { type PeerLink, peerLink } from './peer-links.ts'
import type { RelaySessions } from './relay-sessions.ts'

export interface EnginePeersDependencies {
  readonly device: Device
  readonly own: OwnCandidates
  readonly sessions: RelaySessions
  readonly logger: Logger
}

interface Known {
  readonly nodeId: NodeId
  readonly key: Uint8Array
  readonly configuration: string
  readonly book: PathBook
  candidates: readonly Candidate[]
  /** The candidates of its record: a signal's count until the record says something new. */
  recorded: readonly Candidate[] | undefined
}

/** Keeps the engine's peers and their paths equal to the members and what they say of themselves. */
export class EnginePeers {
  readonly #deps: EnginePeersDependencies
  readonly #known = new Map<NodeId, Known>()
  readonly #byKey = new Map<string, NodeId>()

  constructor(dependencies: EnginePeersDependencies) {
    this.#deps = dependencies
  }

  /** Sets who belongs; whoever is not named is cut at once. */
  setMembers(members: readonly Member[]): void {
    const wanted = new Set(members.map(({ nodeId }) => nodeId))
    const removed: Uint8Array[] = []
    for (const [node, known] of this.#known) {
      if (wanted.has(node)) continue
      removed.push(known.key)
      this.#known.delete(node)
      this.#byKey.delete(hex(known.key))
    }
    const set: PeerOptions[] = []
    for (const member of members) {
      const peer = peerOptions(member)
      const configuration = JSON.stringify([peer.allowedIps, peer.vanilla])
      const known = this.#known.get(member.nodeId)
      if (known !== undefined && hex(known.key) !== hex(peer.publicKey)) {
        removed.push(known.key) // another certificate, another key: the old one is nobody's now
        this.#byKey.delete(hex(known.key))
      }
      if (known?.configuration !== configuration || hex(known.key) !== hex(peer.publicKey)) {
        set.push(peer)
        this.#known.set(member.nodeId, {
          nodeId: member.nodeId,
          key: peer.publicKey,
          configuration,
          book: known?.book ?? new PathBook(),
          candidates: [],
          recorded: undefined,
        })
        this.#byKey.set(hex(peer.publicKey), member.nodeId)
      }
    }
    if (set.length > 0 || removed.length > 0) this.#deps.device.updatePeers(set, removed)
    for (const member of members) {
      const gone = member.state === 'gone' || member.record === undefined
      this.#setRecorded(member.nodeId, gone ? [] : (member.record?.candidates ?? []))
    }
  }

  #setRecorded(node: NodeId, candidates: readonly Candidate[]): void {
    const known = this.#known.get(node)
    if (known === undefined || known.recorded === candidates) return
    known.recorded = candidates
    this.setCandidates(node, candidates)
  }

  /** Sets where a member says it is. */
  setCandidates(node: NodeId, candidates: readonly Candidate[]): void {
    const known = this.#known.get(node)
    if (known === undefined) return
    known.candidates = candidates
    this.updatePaths(node)
  }

  /** Works the paths to a member out anew; the engine is told when they differ. */
  updatePaths(node: NodeId): void {
    const known = this.#known.get(node)
    if (known?.book.replace(this.#candidatePaths(known))) this.#tell(known)
  }

  updateAllPaths(): void {
    for (const node of this.#known.keys()) this.updatePaths(node)
  }

  /** Has the direct paths of a member probed at once, unless one of them is in use. */
  punch(node: NodeId): void {
    const known = this.#known.get(node)
    if (known === undefined || this.link(node)?.state === 'direct') return
    known.book.renumberDirect()
    this.#tell(known)
  }

  /** Whose WireGuard key it is. */
  nodeOf(publicKey: Uint8Array): NodeId | undefined {
    return this.#byKey.get(hex(publicKey))
  }

  link(node: NodeId): PeerLink | undefined {
    const known = this.#known.get(node)
    if (known === undefined) return undefined
    const status = this.#deps.device.status()
    const own = hex(known.key)
    return peerLink(
      known,
      status.peers.find(({ publicKey }) => hex(publicKey) === own),
      status,
    )
  }

  links(): PeerLink[] {
    const status = this.#deps.device.status()
    const byKey = new Map(status.peers.map((peer) => [hex(peer.publicKey), peer]))
    return [...this.#known.values()].map((known) => peerLink(known, byKey.get(hex(known.key)), status))
  }

  #candidatePaths(known: Known): PathCandidate[] {
    const { own, sessions, device } = this.#deps
    const paths: PathCandidate[] = []
    const through = (address: string) =>
      device.sockets.filter((socket) => familyOf(socket.address) === familyOf(address))
    for (const remote of known.candidates) {
      if (!own.speaks(familyOf(remote.address))) continue
      if (isLoopback(remote.address) && !own.onLoopback) continue
      for (const socket of through(remote.address)) paths.push({ kind: 'direct', socket: socket.id, remote })
    }
    for (const { relay, grant } of sessions.to(known.nodeId)) {
      for (const endpoint of grant.endpoints) {
        if (!own.speaks(familyOf(endpoint.address))) continue
        const [socket] = through(endpoint.address)
        if (socket === undefined) continue
        // one address of a relay is enough: a slot is bound to one source
        paths.push({ kind: 'relay', socket: socket.id, remote: endpoint, relay, session: grant })
        break
      }
    }
    return paths
  }

  #tell(known: Known): void {
    try {
      this.#deps.device.updatePaths(known.key, known.book.paths.map(pathOptions))
    } catch (error) {
      this.#deps.logger.warn('engine refused paths', { peer: known.nodeId, error })
    }
  }
}

function peerOptions(member: Member): PeerOptions {
  return {
    publicKey: wireguardKeyBytes(member.wireguardKey),
    allowedIps: [`${member.addresses.v6}/128`, `${member.addresses.v4}/32`],
    vanilla: isStock(member), // it comes to us, from wherever it is
  }
}

function pathOptions({ id, kind, socket, remote, session }: NumberedPath): PathOptions {
  return {
    id,
    local: socket,
    remote: { address: remote.address, port: remote.port },
    costClass: COST_CLASS[kind],
    ...(session === undefined ? {} : { session: { slot: session.slot, secret: session.secret } }),
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
