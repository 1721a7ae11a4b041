import { describe, expect, test } from 'vitest'
import { layOut } from './layout.ts'
import { worlds } from './worlds/index.ts'

describe('the layout of a world', () => {
  test.each(worlds.map((world) => [world.name, world] as const))(
    '%s gives no device, and no public address, twice',
    (_, world) => {
      const { cables } = layOut(world)
      const ends = cables.flatMap(({ near, far }) => [near, far])
      const devices = ends.map((end) => `${end.node} ${end.device}`)
      const addresses = ends.flatMap((end) => end.addresses).filter((address) => !/^192\.168\.|^100\./.test(address))
      expect(new Set(devices).size).toBe(devices.length)
      expect(new Set(addresses).size).toBe(addresses.length)
      for (const { device } of ends) expect(device.length).toBeLessThan(16)
    },
  )

  test('homes have the same addresses inside, as homes do', () => {
    const { cables } = layOut({
      name: 'homes',
      about: '',
      nodes: {
        net: { kind: 'internet' },
        one: { kind: 'nat', nat: 'easy', on: 'net' },
        other: { kind: 'nat', nat: 'easy', on: 'net' },
        a: { kind: 'host', on: 'one' },
        b: { kind: 'host', on: 'other' },
      },
    })
    const inside = cables.filter(({ near }) => ['a', 'b'].includes(near.node)).map(({ near }) => near.addresses)
    expect(inside).toEqual([['192.168.1.10/24'], ['192.168.1.10/24']])
  })

  test('a host on two networks leaves by the first', () => {
    const { cables } = layOut({
      name: 'two-ways',
      about: '',
      nodes: {
        net: { kind: 'internet' },
        dsl: { kind: 'nat', nat: 'easy', on: 'net' },
        phone: { kind: 'nat', nat: 'hard', on: 'net', lan: '172.20.10' },
        laptop: { kind: 'host', on: ['dsl', 'phone'] },
      },
    })
    const ways = cables.filter(({ near }) => near.node === 'laptop').flatMap(({ near }) => near.setup)
    expect(ways).toContain('route replace default via 192.168.1.1 dev eth0 metric 100')
    expect(ways).toContain('route replace default via 172.20.10.1 dev eth1 metric 200')
  })

  test('what makes no sense is refused by name', () => {
    const on = (parent: string) => () =>
      layOut({ name: 'x', about: '', nodes: { a: { kind: 'host', on: parent }, b: { kind: 'host', on: 'a' } } })
    expect(on('nowhere')).toThrow('a cannot be on nowhere')
    expect(on('b')).toThrow('a cannot be on b')
    const twice = { kind: 'nat', nat: 'easy' } as const
    const nodes = { net: { kind: 'internet' }, one: { ...twice, on: 'net' }, two: { ...twice, on: 'one' } } as const
    expect(() => layOut({ name: 'x', about: '', nodes })).toThrow('two has the same LAN inside and outside')
  })
})
