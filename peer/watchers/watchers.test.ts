import { EventEmitter } from 'node:events'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { Delta, Snapshot } from '@ropewalk/shared/topology'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createWatchers, type EventSink } from './index.ts'
import type { Watched } from './watcher.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** A reader that reads when it is told to. */
class SlowSink extends EventEmitter {
  texts: string[] = []
  writableLength = 0
  destroyed = false
  reads = true

  write(text: string): boolean {
    this.texts.push(text)
    if (!this.reads) this.writableLength += text.length
    return this.reads
  }

  end(text: string): void {
    this.texts.push(text)
    if (this.reads) this.destroy()
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.emit('close')
  }

  readAll(): void {
    this.reads = true
    this.writableLength = 0
    this.emit('drain')
  }

  kinds(): string[] {
    return this.texts.map((text) => /^event: (\w+)$/m.exec(text)?.[1] ?? text.trim())
  }
}

function acted() {
  const listeners = new Set<(delta: Delta) => void>()
  let sequence = 1
  let kept: Delta[] = []
  const empty = { set: [], removed: [] }
  const topology: Watched<Snapshot, Delta> = {
    snapshot: () => ({ version: 1, epoch: 'e', sequence, at: 0, nodes: [], links: [], relays: [] }) as Snapshot,
    since: (mark) => {
      if (mark.epoch !== 'e') return undefined
      if (mark.sequence === sequence) return []
      const from = kept.findIndex(({ since }) => since === mark.sequence)
      return from < 0 ? undefined : kept.slice(from)
    },
    onDelta: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  return {
    topology,
    listeners,
    forget: () => {
      kept = []
    },
    change(filler = '') {
      const node = { removed: [filler], set: [] }
      const delta: Delta = {
        version: 1,
        epoch: 'e',
        since: sequence,
        sequence: ++sequence,
        at: 0,
        nodes: node,
        links: empty,
        relays: empty,
      }
      kept.push(delta)
      for (const listener of listeners) listener(delta)
    },
  }
}

async function start(limit?: number) {
  const mesh = acted()
  const watchers = createWatchers({ heartbeatMs: 10_000, ...(limit === undefined ? {} : { limit }) }, mesh.topology)
  await watchers.start()
  const watch = (check: () => void = () => undefined) => {
    const sink = new SlowSink()
    watchers.watch({ sink: sink as unknown as EventSink, mark: undefined, check })
    return sink
  }
  return { mesh, watchers, watch }
}

const MEGABYTE = 'x'.repeat(1_100_000)

describe('watchers', () => {
  test('a reader that falls behind costs a bounded amount, and is brought up to date by deltas', async () => {
    const { mesh, watch } = await start()
    const sink = watch()
    sink.reads = false
    mesh.change(MEGABYTE)
    const written = sink.texts.length
    for (let i = 0; i < 1_000; i++) mesh.change()
    expect(sink.texts).toHaveLength(written)
    sink.readAll()
    expect(sink.kinds().slice(written)).toEqual(Array.from({ length: 1_000 }, () => 'delta'))
  })

  test('one that fell out of the kept past is given a snapshot', async () => {
    const { mesh, watch } = await start()
    const sink = watch()
    sink.reads = false
    mesh.change(MEGABYTE)
    mesh.change()
    mesh.forget()
    sink.readAll()
    expect(sink.kinds().at(-1)).toBe('snapshot')
  })

  test('one that reads nothing for half a minute is let go', async () => {
    const { mesh, watchers, watch } = await start()
    const sink = watch()
    sink.reads = false
    mesh.change(MEGABYTE)
    await vi.advanceTimersByTimeAsync(29_000)
    expect(sink.destroyed).toBe(false)
    await vi.advanceTimersByTimeAsync(3_000)
    expect(sink.destroyed).toBe(true)
    expect([watchers.count, mesh.listeners.size]).toEqual([0, 0])
  })

  test('a silent stream says every 10 s that it is alive', async () => {
    const { watch } = await start()
    const sink = watch()
    await vi.advanceTimersByTimeAsync(31_000)
    expect(sink.kinds().filter((kind) => kind === ': alive')).toHaveLength(3)
  })

  test('who may not watch any more is told and cut, even when it does not read', async () => {
    const { watchers, watch } = await start()
    let allowed = true
    const sink = watch(() => {
      if (!allowed) throw new RopewalkError('unauthenticated', 'revoked')
    })
    sink.reads = false
    allowed = false
    await vi.advanceTimersByTimeAsync(2_000)
    expect(sink.kinds().at(-1)).toBe('end')
    expect(sink.destroyed).toBe(true)
    expect(watchers.count).toBe(0)
  })

  test('there is a limit, and a place is free again when one leaves', async () => {
    const { watchers, watch } = await start(2)
    const first = watch()
    watch()
    expect(watchers.hasRoom).toBe(false)
    expect(() => watch()).toThrow(RopewalkError)
    first.destroy()
    watch()
  })

  test('deltas are made into text once for all', async () => {
    const { mesh, watch } = await start()
    const [a, b] = [watch(), watch()]
    mesh.change()
    expect(a.texts.at(-1)).toBe(b.texts.at(-1))
  })
})
