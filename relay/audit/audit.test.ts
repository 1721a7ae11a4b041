import { createLogger } from '@ropewalk/shared/logger'
import { describe, expect, test } from 'vitest'
import { type AuditEvent, createAudit } from './index.ts'

const lines: string[] = []
const logger = createLogger({ destination: { write: (line) => lines.push(line) } })
const event = (actor: string, patch: Partial<AuditEvent> = {}): AuditEvent => ({
  event: 'set-policy',
  actor,
  proven: true,
  ...patch,
})

describe('the audit log', () => {
  test('keeps what happened in order, and writes it to the process’s log', () => {
    const audit = createAudit({}, { logger, nowMs: () => 1_000 })
    audit.record(event('a', { details: { seq: 3 } }))
    audit.record(event('b', { code: 'forbidden' }))
    expect(audit.entries()).toMatchObject([
      { actor: 'a', at: 1_000, details: { seq: 3 } },
      { actor: 'b', code: 'forbidden', details: {} },
    ])
    expect(lines.some((line) => line.includes('"audit"') && line.includes('"a"'))).toBe(true)
  })

  test('is bounded, and strangers’ noise hides nothing that members did', () => {
    const audit = createAudit({ provenEntries: 3, strangerEntries: 5 }, { logger, nowMs: () => 1 })
    for (const actor of ['a', 'b', 'c', 'd']) audit.record(event(actor))
    for (let i = 0; i < 1_000; i++) audit.record(event(`203.0.113.${i}`, { proven: false }))
    const actors = audit.entries().map(({ actor }) => actor)
    expect(actors.slice(0, 3)).toEqual(['b', 'c', 'd'])
    expect(actors).toHaveLength(8)
  })

  test('ids sort as time goes, across restarts too', () => {
    let now = 1_000
    const make = () => createAudit({}, { logger, nowMs: () => now })
    const first = make()
    for (let i = 0; i < 100; i++) first.record(event('a'))
    now += 1
    const second = make()
    second.record(event('b'))
    const ids = [...first.entries(), ...second.entries()].map(({ id }) => id)
    expect([...ids].sort()).toEqual(ids)
    expect(new Set(ids).size).toBe(ids.length)
  })
})
