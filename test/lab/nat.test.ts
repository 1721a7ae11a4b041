import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bindDatagrams, type DatagramSocket } from './datagrams.ts'
import { SHORT_UDP_TIMEOUT_SECONDS, up, type World } from './index.ts'

describe('NAT routers behave as they are named', () => {
  let world: World
  let publicA: DatagramSocket
  let publicB: DatagramSocket
  const opened: DatagramSocket[] = []

  async function socket(node: string, port = 0): Promise<DatagramSocket> {
    const made = await bindDatagrams(world.node(node), port)
    opened.push(made)
    return made
  }
  const sendTo = (from: DatagramSocket, to: string, port: number, text: string) =>
    from.send(world.publicAddress(to), port, text)

  beforeAll(async () => {
    world = await up('every-nat')
    publicA = await socket('public-a')
    publicB = await socket('public-b')
  })
  afterAll(async () => world?.down())

  test('an easy one keeps the port, for every destination', async () => {
    const inside = await socket('easy', 4101)
    sendTo(inside, 'public-a', publicA.port, 'easy-1')
    sendTo(inside, 'public-b', publicB.port, 'easy-2')
    const expected = { from: world.publicAddress('easy'), port: 4101 }
    expect(await publicA.receives('easy-1')).toMatchObject(expected)
    expect(await publicB.receives('easy-2')).toMatchObject(expected)
  })

  test('a hard one takes another port for each destination', async () => {
    const inside = await socket('hard', 4102)
    sendTo(inside, 'public-a', publicA.port, 'hard-1')
    sendTo(inside, 'public-b', publicB.port, 'hard-2')
    const one = await publicA.receives('hard-1')
    const other = await publicB.receives('hard-2')
    expect(one.from).toBe(world.publicAddress('hard'))
    expect(one.port).not.toBe(other.port)
    expect([one.port, other.port]).not.toContain(4102)
  })

  test.each(['easy', 'hard', 'accepted', 'short'])(
    '%s lets in the answer and nothing from another sender',
    async (kind) => {
      const inside = await socket(kind, 4103)
      sendTo(inside, 'public-a', publicA.port, `${kind}-out`)
      const seen = await publicA.receives(`${kind}-out`)
      publicB.send(seen.from, seen.port, `${kind}-unsolicited`)
      publicA.send(seen.from, seen.port, `${kind}-answer`)
      await inside.receives(`${kind}-answer`)
      expect(inside.received().map((datagram) => datagram.text)).toEqual([`${kind}-answer`])
    },
  )

  test('two easy ones can be punched through, though the first datagram found the door shut', async () => {
    const one = await socket('easy', 4104)
    const other = await socket('other', 4104)
    sendTo(one, 'other', 4104, 'too-early')
    sendTo(one, 'public-a', publicA.port, 'behind-it')
    await publicA.receives('behind-it')
    // The first has passed the internet before it and was refused at the other's door, which this one crosses.
    sendTo(other, 'easy', 4104, 'first')
    expect(await one.receives('first')).toMatchObject({ from: world.publicAddress('other'), port: 4104 })
    sendTo(one, 'other', 4104, 'second')
    expect(await other.receives('second')).toMatchObject({ from: world.publicAddress('easy'), port: 4104 })
    expect(other.received().map((datagram) => datagram.text)).toEqual(['second'])
  })

  test('one that takes in the unsolicited spoils the punch: it must leave by another port', async () => {
    const inside = await socket('accepted', 4105)
    const outside = await socket('easy', 4105)
    sendTo(inside, 'public-a', publicA.port, 'elsewhere')
    expect((await publicA.receives('elsewhere')).port).toBe(4105)
    sendTo(outside, 'accepted', 4105, 'knock')
    await expect.poll(() => portTowards('nat-accepted', 'easy', 'easy'), within).toBe(4105)
    sendTo(inside, 'easy', 4105, 'spoiled')
    // The easy side waits for port 4105 and gets another one.
    await expect.poll(() => portTowards('nat-accepted', 'accepted', 'easy'), within).not.toBe(4105)
    expect(outside.received()).toEqual([])
  })

  test('a short one forgets a silent flow', async () => {
    const inside = await socket('short', 4106)
    sendTo(inside, 'public-a', publicA.port, 'forget-me')
    const seen = await publicA.receives('forget-me')
    await forgotten('nat-short')
    publicA.send(seen.from, seen.port, 'too-late')
    publicA.send(world.node('public-b').address, publicB.port, 'behind-the-late-one')
    await publicB.receives('behind-the-late-one')
    sendTo(inside, 'public-a', publicA.port, 'again')
    await publicA.receives('again')
    publicA.send(seen.from, seen.port, 'in-time')
    await inside.receives('in-time')
    expect(inside.received().map((datagram) => datagram.text)).toEqual(['in-time'])
  }, 15_000)

  test('behind a carrier two NATs stand in a row, and answers find their way', async () => {
    const inside = await socket('carried', 4107)
    sendTo(inside, 'public-a', publicA.port, 'carried-out')
    const seen = await publicA.receives('carried-out')
    expect(seen.from).toBe(world.node('carrier').address)
    expect(world.publicAddress('carried')).toBe(seen.from)
    publicA.send(seen.from, seen.port, 'carried-answer')
    await inside.receives('carried-answer')
  })

  test('private addresses do not cross the internet', async () => {
    const { code } = await world
      .node('public-a')
      .exec('ping', ['-c', '1', '-W', '0.3', '192.168.1.10'], { mayFail: true })
    expect(code).not.toBe(0)
  })

  /** The UDP flows that a router remembers. */
  async function flows(router: string): Promise<string[]> {
    const { stdout } = await world.node(router).exec('cat', ['/proc/net/nf_conntrack'])
    return stdout.split('\n').filter((line) => line.includes(' udp '))
  }
  const within = { timeout: (SHORT_UDP_TIMEOUT_SECONDS + 5) * 1000, interval: 50 }
  const forgotten = (router: string) => expect.poll(() => flows(router), within).toEqual([])

  /** The router's own port in its flow with the node `remote`, begun by `from`; null while there is none. */
  async function portTowards(router: string, from: string, remote: string): Promise<number | null> {
    const begun =
      from === remote ? `src=${world.publicAddress(remote)} dst=` : `dst=${world.publicAddress(remote)} sport`
    const line = (await flows(router)).find((flow) => flow.split(' [')[0]?.includes(begun))
    const ports = [...(line ?? '').matchAll(/dport=(\d+)/g)].map((match) => Number(match[1]))
    return (from === remote ? ports[0] : ports[1]) ?? null
  }
})
