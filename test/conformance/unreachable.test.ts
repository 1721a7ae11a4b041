import { describe, expect, test } from 'vitest'
import { INNER, makeStockPair, reach, unanswered } from './pair.ts'

describe('who cannot be reached is reported at once', () => {
  test('as an unreachable host where no peer has the address', async () => {
    await using pair = await makeStockPair()
    const { a } = pair
    expect(await unanswered(a.node, '10.98.0.9')).toContain('Destination Host Unreachable')
    expect(await unanswered(a.node, 'fd98::9')).toContain('Destination unreachable: Address unreachable')
  })

  test('as an unreachable host where the peer has no endpoint', async () => {
    await using pair = await makeStockPair({ outer: 'none' })
    const { a } = pair
    expect(await unanswered(a.node, INNER.b.v4)).toContain('Destination Host Unreachable')
    expect(await unanswered(a.node, INNER.b.v6)).toContain('Destination unreachable: Address unreachable')
  })

  test('to a third host whose packets came here by NAT', async () => {
    await using pair = await makeStockPair({ world: 'three-hosts' })
    const { a, b, world } = pair
    const c = world.node('c')
    await b.node.exec('sh', ['-ec', 'echo 1 >/proc/sys/net/ipv4/ip_forward'])
    const nat = 'add table ip nat; add chain ip nat out { type nat hook postrouting priority srcnat; }'
    await b.node.exec('nft', [
      `${nat}; add rule ip nat out ip saddr 10.20.0.0/24 oifname ${b.name} snat to ${INNER.b.v4}`,
    ])
    await c.exec('ip', ['route', 'add', `${INNER.a.v4}/32`, 'via', b.node.address])
    await reach(c, INNER.a.v4)
    await b.set('peer', a.keys.publicKey, 'remove')
    expect(await unanswered(c, INNER.a.v4)).toMatch(/^From \S+ icmp_seq=1 Destination Host Unreachable$/m)
  })
})
