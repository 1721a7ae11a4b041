import { expect, test } from 'vitest'
import { at, endpoint, INNER, makeStockPair, PORT, reach } from './pair.ts'

test('who comes from another IPv4 address and port is answered there', async () => {
  await using pair = await makeStockPair()
  const { a, b } = pair
  await reach(a.node, INNER.b.v4)
  expect(await b.of(a, 'endpoints')).toEqual([endpoint(a.node, 'v4', PORT.a)])
  await a.node.exec('sh', [
    '-ec',
    `ip address delete ${a.node.address}/24 dev eth0; ip address add 10.20.0.77/24 dev eth0`,
  ])
  await a.set('listen-port', 9999)
  await a.set('peer', b.keys.publicKey, 'endpoint', endpoint(b.node, 'v4', PORT.b))
  await reach(a.node, INNER.b.v6)
  expect(await b.of(a, 'endpoints')).toEqual(['10.20.0.77:9999'])
  await reach(b.node, INNER.a.v4)
})

test('who goes from IPv4 to IPv6 and back is followed, with the whole address', async () => {
  await using pair = await makeStockPair()
  const { a, b } = pair
  await reach(a.node, INNER.b.v4)
  for (const [family, port] of [
    ['v6', 9998],
    ['v4', 9997],
    ['v6', 9996],
  ] as const) {
    await a.set('listen-port', port)
    await a.set('peer', b.keys.publicKey, 'endpoint', endpoint(b.node, family, PORT.b))
    await reach(a.node, INNER.b.v4)
    expect(await b.of(a, 'endpoints')).toEqual([endpoint(a.node, family, port)])
    await reach(b.node, INNER.a.v6)
  }
})

test('a port changed alone keeps the session: one ping, no new handshake', async () => {
  await using pair = await makeStockPair()
  const { a, b } = pair
  await reach(a.node, INNER.b.v4)
  const before = await a.of(b, 'latest-handshakes')
  await a.set('listen-port', 9995)
  expect(await a.show('listen-port')).toEqual([['9995']])
  await reach(a.node, INNER.b.v4)
  expect(await b.of(a, 'endpoints')).toEqual([at(a.node.address, 9995)])
  expect(await a.of(b, 'latest-handshakes')).toEqual(before)
})
