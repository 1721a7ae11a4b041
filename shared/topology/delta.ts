import { isDeepStrictEqual } from 'node:util'
import { RopewalkError } from '../errors/index.ts'
import type { Delta, Snapshot } from './schema.ts'

/** The difference that {@link applyDelta} turns `before` into `after` with. */
export function diffSnapshots(before: Snapshot, after: Snapshot): Delta {
  return {
    version: 1,
    epoch: after.epoch,
    since: before.sequence,
    sequence: after.sequence,
    at: after.at,
    nodes: changes(before.nodes, after.nodes, (node) => node.nodeId),
    links: changes(before.links, after.links, (link) => link.id),
    relays: changes(before.relays, after.relays, (relay) => relay.nodeId),
  }
}

/** Whether a delta says nothing but a new time. */
export function isEmptyDelta({ nodes, links, relays }: Delta): boolean {
  return [nodes, links, relays].every(({ set, removed }) => set.length === 0 && removed.length === 0)
}

/**
 * The snapshot after a delta.
 * @throws RopewalkError `conflict` when the delta does not follow this snapshot: fetch a new one
 */
export function applyDelta(before: Snapshot, delta: Delta): Snapshot {
  if (delta.epoch !== before.epoch || delta.since !== before.sequence) {
    throw new RopewalkError('conflict', `The change after ${delta.since} does not fit sequence ${before.sequence}`)
  }
  return {
    version: 1,
    epoch: before.epoch,
    sequence: delta.sequence,
    at: delta.at,
    nodes: changed(before.nodes, delta.nodes, (node) => node.nodeId),
    links: changed(before.links, delta.links, (link) => link.id),
    relays: changed(before.relays, delta.relays, (relay) => relay.nodeId),
  }
}

/** Order of ids in every list of a snapshot: by code unit, not by locale. */
export function byId(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

interface Changes<T> {
  set: T[]
  removed: string[]
}

function changes<T>(before: readonly T[], after: readonly T[], idOf: (item: T) => string): Changes<T> {
  const old = new Map(before.map((item) => [idOf(item), item]))
  const kept = new Set(after.map(idOf))
  return {
    set: after.filter((item) => !isDeepStrictEqual(item, old.get(idOf(item)))),
    removed: [...old.keys()].filter((id) => !kept.has(id)),
  }
}

function changed<T>(before: readonly T[], { set, removed }: Changes<T>, idOf: (item: T) => string): T[] {
  const items = new Map(before.map((item) => [idOf(item), item]))
  for (const id of removed) items.delete(id)
  for (const item of set) items.set(idOf(item), item)
  return [...items.values()].sort((a, b) => byId(idOf(a), idOf(b)))
}
