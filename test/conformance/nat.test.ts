import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until, type WorldPlan } from '../lab/index.ts'
import { at, comesUp, flood, INNER, makeStockPair, PORT, reach, type StockPair, unanswered } from './pair.ts'

const PLAN: WorldPlan = {
  name: 'behind-a-forgetful-nat',
  about: 'a behind a NAT that forgets a UDP flow after two seconds, b in public',
  nodes: {
    internet: { kind: 'internet' },
    router: { kind: 'nat', nat: 'short', on: 'internet' },
    a: { kind: 'host', on: 'router' },
    b: { kind: 'host', on: 'internet' },
  },
}
const TIMEOUT_SECONDS = 2
const KEEPALIVE_BYTES = 32
const MARK = 51820

describe('behind a NAT that forgets after two seconds', () => {
  let pair: StockPair
  beforeAll(async () => {
    pair = await makeStockPair({ world: PLAN, outer: 'none' })
    const timeouts = ['udp_timeout', 'udp_timeout_stream'].map((name) => `/proc/sys/net/netfilter/nf_conntrack_${name}`)
    const script = timeouts.map((file) => `echo ${TIMEOUT_SECONDS} >${file}`).join('; ')
    await pair.world.node('router').exec('sh', ['-ec', script])
    const { a, b } = pair
    await a.set('peer', b.keys.publicKey, 'endpoint', at(b.node.address, PORT.b))
  })
  afterAll(() => pair?.[Symbol.asyncDispose]())

  test('a keepalive each second keeps the way in open', async () => {
    const { a, b, world } = pair
    await a.set('peer', b.keys.publicKey, 'persistent-keepalive', 1)
    await reach(a.node, INNER.b.v4)
    await reach(b.node, INNER.a.v4)
    expect(await b.of(a, 'endpoints')).toEqual([at(world.publicAddress('a'), PORT.a)])
    const { received } = await b.transfer(a)
    const begun = performance.now()
    await until(10_000, 'keepalives', async () =>
      (await b.transfer(a)).received >= received + (TIMEOUT_SECONDS + 1) * KEEPALIVE_BYTES ? true : null,
    )
    expect(performance.now() - begun).toBeGreaterThan(TIMEOUT_SECONDS * 1000 - 500)
    await reach(b.node, INNER.a.v4)
  }, 20_000)

  test('without keepalives the way is forgotten, and found again by who is inside', async () => {
    const { a, b, world } = pair
    await a.set('peer', b.keys.publicKey, 'persistent-keepalive', 0)
    expect(await a.of(b, 'persistent-keepalive')).toEqual(['off'])
    await until(15_000, 'the router to forget', async () => {
      const { stdout } = await world.node('router').exec('cat', ['/proc/net/nf_conntrack'])
      return stdout.includes(' udp ') ? null : true
    })
    await unanswered(b.node, INNER.a.v4)
    await reach(a.node, INNER.b.v4)
    await reach(b.node, INNER.a.v4)
  }, 30_000)

  test('a socket bound to the interface gets through, also when its packets are marked on their way', async () => {
    const { a } = pair
    await reach(a.node, INNER.b.v4, '-I', a.name)
    const chain = 'add chain ip remark out { type route hook output priority mangle; }'
    await a.node.exec('nft', [`add table ip remark; ${chain}; add rule ip remark out meta mark set 1`])
    await reach(a.node, INNER.b.v4)
    await reach(a.node, INNER.b.v4, '-I', a.name)
    await a.node.exec('nft', ['delete table ip remark'])
  })

  test('everything goes through the tunnel by policy routing, but what has its own mark', async () => {
    const { a, b } = pair
    await b.address('add', '10.95.0.7/32', 'abab::1111/128')
    await a.set('fwmark', MARK, 'peer', b.keys.publicKey, 'allowed-ips', '0.0.0.0/0,::/0')
    expect(await a.show('fwmark')).toEqual([[`0x${MARK.toString(16)}`]])
    const watch = 'add chain inet watch out { type filter hook output priority 0; }'
    const rule = (mark: string) => `add rule inet watch out udp sport ${PORT.a} ${mark} counter`
    await a.node.exec('nft', [`add table inet watch; ${watch}`])
    await a.node.exec('nft', [`${rule(`meta mark ${MARK}`)}; ${rule(`meta mark != ${MARK}`)}`])
    const lines = [
      '-6 address add fc00::9/96 dev eth0 nodad',
      '-6 route add default via fc00::1',
      ...['-4', '-6'].flatMap((family) => [
        `${family} route add default dev ${a.name} table ${MARK}`,
        `${family} rule add not fwmark ${MARK} table ${MARK}`,
        `${family} rule add table main suppress_prefixlength 0`,
      ]),
    ]
    for (const line of lines) await a.node.exec('ip', line.split(' '))
    await comesUp(a.node, '10.95.0.7')
    await flood(a.node, '10.95.0.7', 100)
    await flood(a.node, 'abab::1111', 100)
    const { stdout } = await a.node.exec('nft', ['list', 'chain', 'inet', 'watch', 'out'])
    const [marked, unmarked] = [...stdout.matchAll(/packets (\d+)/g)].map((match) => Number(match[1]))
    expect(marked).toBeGreaterThanOrEqual(200)
    expect(unmarked).toBe(0)
  })
})
