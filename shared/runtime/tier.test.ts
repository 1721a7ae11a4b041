import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TIERS, tierOf, tierReaches } from './index.ts'

test('the slower direction decides, and a line reaches the tier it is called by', () => {
  const both = (mbps: number) => tierOf({ upMbps: mbps, downMbps: mbps })
  // what TCP gets of Ethernet with frames of 1,500 bytes: 94.9 %
  expect([50, 94.9, 500, 949, 5_000, 9_490, 40_000].map(both)).toEqual([
    'low',
    'medium',
    'medium',
    'high',
    'high',
    'ultra',
    'ultra',
  ])
  expect(tierOf({ upMbps: 20, downMbps: 900 })).toBe('low')
  expect(tierOf({ upMbps: 5_000, downMbps: 100 })).toBe('medium')
})

test('a faster line has no lower tier, and whatever was measured has one', () => {
  const mbps = fc.oneof(
    fc.double({ min: 0, noNaN: true }),
    fc.constantFrom(0, Number.MIN_VALUE, Number.POSITIVE_INFINITY),
  )
  fc.assert(
    fc.property(mbps, mbps, mbps, (upMbps, downMbps, more) => {
      const tier = tierOf({ upMbps, downMbps })
      expect(TIERS).toContain(tier)
      expect(tierReaches(tierOf({ upMbps: upMbps + more, downMbps }), tier)).toBe(true)
    }),
  )
  expect(tierOf({ upMbps: Number.NaN, downMbps: 1 })).toBe('low')
})

test('a worker that was not measured counts as low', () => {
  expect(TIERS.map((asked) => tierReaches(undefined, asked))).toEqual([true, false, false, false])
  for (const [index, has] of TIERS.entries()) {
    expect(TIERS.map((asked) => tierReaches(has, asked))).toEqual(TIERS.map((_, asked) => asked <= index))
  }
})
