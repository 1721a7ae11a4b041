import type { Path, Peer } from '@ropewalk/shared/api'
import type { NodeId } from '@ropewalk/shared/identity'
import { formatEndpoint, type Link } from '@ropewalk/shared/records'
import type { DeviceStatus, PathStatus, PeerStatus } from 'node-wireguard'
import { COST_CLASS, type PathBook, type PathKind } from './path-book.ts'

/** How one member is reached now, and every way there is. */
export interface PeerLink {
  readonly nodeId: NodeId
  readonly state: Exclude<Peer['state'], 'offline'>
  /** The relay in between, when there is one. */
  readonly via: NodeId | undefined
  readonly rttMs: number | null
  readonly txBytes: number
  readonly rxBytes: number
  readonly lastHandshakeSeconds: number | null
  readonly paths: readonly LinkPath[]
}

/** A path with the relay that carries it. */
export interface LinkPath extends Path {
  readonly via: NodeId | undefined
}

export interface LinkSource {
  readonly nodeId: NodeId
  readonly book: PathBook
}

/** Joins what the engine measures with what connectivity knows of the paths. */
export function peerLink({ nodeId, book }: LinkSource, status: PeerStatus | undefined, device: DeviceStatus): PeerLink {
  const paths = (status?.paths ?? []).map((path) => linkPath(path, book, device))
  const active = paths.find((path) => path.state === 'active' || path.state === 'suspect')
  const handshakeMs = status?.lastHandshakeMs
  return {
    nodeId,
    state: active?.kind ?? 'connecting',
    via: active?.via,
    rttMs: active?.rttMs ?? null,
    txBytes: status?.txBytes ?? 0,
    rxBytes: status?.rxBytes ?? 0,
    lastHandshakeSeconds: handshakeMs === undefined ? null : Math.round(handshakeMs / 100) / 10,
    paths,
  }
}

/** The words of a report about one member: its active path, or that there is none. */
export function reportLink(link: PeerLink): Link {
  const path = link.paths.find(({ state }) => state === 'active' || state === 'suspect')
  if (path === undefined) return { peer: link.nodeId, kind: 'direct', state: 'down' }
  return {
    peer: link.nodeId,
    kind: path.kind,
    state: path.state,
    via: path.via,
    rttUs: path.rttMs === null ? undefined : Math.round(path.rttMs * 1000),
    jitterUs: path.jitterMs === null ? undefined : Math.round(path.jitterMs * 1000),
    lossPpm: Math.round(path.lossRatio * 1e6),
    mtu: path.mtu,
    txBytes: link.txBytes,
    rxBytes: link.rxBytes,
  }
}

function linkPath(path: PathStatus, book: PathBook, device: DeviceStatus): LinkPath {
  const known = book.byId(path.id)
  const socket = device.sockets.find(({ id }) => id === path.local)
  return {
    id: path.id,
    kind: known?.kind ?? kindOfClass(path.costClass),
    via: known?.relay,
    local: socket === undefined ? `socket ${path.local}` : formatEndpoint(socket),
    remote: formatEndpoint(path.remote),
    state: path.active && path.state === 'standby' ? 'active' : path.state,
    rttMs: path.rttMs ?? null,
    jitterMs: path.rttMs === undefined ? null : path.jitterMs,
    lossRatio: path.lossRatio,
    mtu: path.mtu,
    txBytes: path.txBytes,
    rxBytes: path.rxBytes,
  }
}

function kindOfClass(costClass: number): PathKind {
  const kinds = Object.entries(COST_CLASS) as [PathKind, number][]
  return kinds.find(([, value]) => value === costClass)?.[0] ?? 'direct'
}
