import { describe, expect, test } from 'vitest'
import type { Bench, Round } from './bench.ts'
import { formatTable, makeReport, median } from './report.ts'

const bench: Bench = {
  name: 'x',
  about: '',
  unit: 'Gbit/s',
  cases: ['one', 'two'],
  notes: ['as they come'],
  entrants: async () => [],
}
const rounds = (...values: [number, number][]): Round[] =>
  values.map(([one, two]) => ({ one: { value: one }, two: { value: two } }))

describe('the report of a bench', () => {
  const report = makeReport(bench, {
    rounds: new Map([
      ['raw', rounds([20, 40], [30, 50], [10, 60])],
      ['ours', rounds([4, 8], [6, 1], [5, 2])],
      ['wireguard-go', rounds([2, 4], [2.5, 4], [3, 4])],
    ]),
    absent: [{ name: 'wireguard-go-debian', missing: 'no dpkg-query here' }],
    versions: new Map([['wireguard-go', 'v1']]),
    disturbed: 1,
    turns: 9,
  })

  test('has medians and ratios, the first case outside as well', () => {
    expect(report).toMatchObject({ bench: 'x', unit: 'Gbit/s', ours: 5, raw: 20, runs: 3 })
    expect(report.rivals).toEqual({ 'wireguard-go': 2.5 })
    expect(report.ratio).toEqual({ 'wireguard-go': 2 })
    expect(report.cases.two).toEqual({
      ours: 2,
      raw: 50,
      rivals: { 'wireguard-go': 4 },
      ratio: { 'wireguard-go': 0.5 },
      best: { rival: 'wireguard-go', ratio: 0.5 },
    })
  })

  test('names who is absent with the reason, and what disturbed it', () => {
    expect(report.notes).toContain('wireguard-go-debian cannot be had: no dpkg-query here')
    expect(report.notes).toContain('1 of 9 turns while others used the machine')
    expect(JSON.parse(JSON.stringify(report))).toEqual(report)
  })

  test('is a table for people', () => {
    expect(formatTable(report).split('\n').slice(0, 3)).toEqual([
      'x, Gbit/s  ours  wireguard-go  raw    best rival',
      'one        5.00  2.50 (2.00×)  20.00  wireguard-go (2.00×)',
      'two        2.00  4.00 (0.50×)  50.00  wireguard-go (0.50×)',
    ])
  })

  test('finds the best rival, which is the smallest where less is better', () => {
    const figures = new Map([
      ['ours', rounds([4, 4])],
      ['slow', rounds([2, 8])],
      ['fast', rounds([8, 2])],
    ])
    const all = { rounds: figures, absent: [], versions: new Map(), disturbed: 0, turns: 3 }
    expect(makeReport(bench, all).cases.one?.best).toEqual({ rival: 'fast', ratio: 0.5 })
    expect(makeReport({ ...bench, less: true }, all).cases.one?.best).toEqual({ rival: 'slow', ratio: 2 })
  })

  test('takes the middle of an even number of rounds, and nothing of none', () => {
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(median([])).toBeNull()
  })
})
