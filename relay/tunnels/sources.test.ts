import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSources, sourceOf } from './sources.ts'

describe('slots of sources', () => {
  test('one source has its share, all together theirs, and what is given back can be taken again', () => {
    const sources = createSources({ perSource: 2, total: 3 })
    const first = sources.take('10.0.0.1')
    expect(sources.take('10.0.0.1')).toBeDefined()
    expect(sources.take('10.0.0.1')).toBeUndefined()
    expect(sources.take('10.0.0.2')).toBeDefined()
    expect(sources.take('10.0.0.3')).toBeUndefined()
    first?.()
    first?.()
    expect(sources.taken).toBe(2)
    expect(sources.take('10.0.0.3')).toBeDefined()
  })

  test('an IPv6 source is its /64, an IPv4 one is the same in both forms', () => {
    expect(sourceOf('2001:db8:1:2:3:4:5:6')).toBe(sourceOf('2001:db8:1:2::9'))
    expect(sourceOf('2001:db8:1:2::')).not.toBe(sourceOf('2001:db8:1:3::'))
    expect(sourceOf('::ffff:192.0.2.1')).toBe(sourceOf('192.0.2.1'))
    expect(sourceOf('fe80::1%eth0')).toBe(sourceOf('fe80::2%eth1'))
    expect(sourceOf('::1')).toBe('0:0:0:0')
  })

  test('taking and giving back in any order never loses a slot', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.ipV6(), fc.boolean())), (steps) => {
        const sources = createSources({ perSource: 3, total: 10 })
        const held: (() => void)[] = []
        for (const [address, give] of steps) {
          if (give) held.pop()?.()
          else {
            const release = sources.take(address)
            if (release !== undefined) held.push(release)
          }
          expect(sources.taken).toBe(held.length)
        }
        for (const release of held) release()
        expect(sources.taken).toBe(0)
      }),
    )
  })
})
