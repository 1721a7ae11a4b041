import { stat } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { bindDatagrams, type DatagramSocket } from './datagrams.ts'
import { captureRefusal, iperf, type LabLink, type LabNode, ping, up, type World } from './index.ts'

describe('faults do what they say', () => {
  let world: World
  let link: LabLink
  let a: LabNode
  let b: LabNode

  beforeAll(async () => {
    world = await up('two-hosts')
    link = world.link('a')
    a = world.node('a')
    b = world.node('b')
  })
  afterEach(async () => link.restore())
  afterAll(async () => world?.down())

  const arrives = async (from: LabNode, to: LabNode, ...words: string[]): Promise<boolean> =>
    (await from.exec('ping', ['-c', '1', '-W', '0.3', ...words, to.address], { mayFail: true })).code === 0

  test('a link that is down is told to the sender at once, and comes back with its addresses and routes', async () => {
    await link.down()
    const { code, stderr } = await a.exec('ping', ['-c', '1', '-W', '1', b.address], { mayFail: true })
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('unreachable') })
    await link.restore()
    expect(await arrives(a, b)).toBe(true)
    expect((await a.exec('ping', ['-c', '1', '-W', '1', 'fd20::2'])).code).toBe(0)
  })

  test('a silent link looks well and loses everything', async () => {
    await link.silence()
    const { code, stderr } = await a.exec('ping', ['-c', '2', '-i', '0.1', '-W', '0.3', b.address], { mayFail: true })
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    await link.restore()
    expect(await arrives(a, b)).toBe(true)
  })

  describe('one way', () => {
    let one: DatagramSocket
    let other: DatagramSocket
    beforeAll(async () => {
      one = await bindDatagrams(a)
      other = await bindDatagrams(b)
    })

    test.each(['out', 'in'] as const)('silent on the way %s, the other way still carries', async (direction) => {
      await link.silence(direction)
      one.send(b.address, other.port, `${direction}-a-to-b`)
      other.send(a.address, one.port, `${direction}-b-to-a`)
      if (direction === 'out') await one.receives('out-b-to-a')
      else await other.receives('in-a-to-b')
      await link.restore()
      // What was lost would have come before this.
      one.send(b.address, other.port, `${direction}-after`)
      other.send(a.address, one.port, `${direction}-after`)
      await Promise.all([one.receives(`${direction}-after`), other.receives(`${direction}-after`)])
      const texts = [...one.received(), ...other.received()].map((datagram) => datagram.text)
      expect(texts).not.toContain(direction === 'out' ? 'out-a-to-b' : 'in-b-to-a')
    })
  })

  test('loss loses the share that was asked for', async () => {
    await link.loss(0.1, 'out')
    const { sent, lost } = await ping(a, b.address, { count: 2000 }).done
    expect(sent).toBe(2000)
    // Six standard deviations of a binomial distribution: one run in half a billion is outside.
    expect(lost).toBeGreaterThan(200 - 81)
    expect(lost).toBeLessThan(200 + 81)
  })

  test('a black hole swallows long packets, passes short ones and tells nobody', async () => {
    await link.blackHole(1300, 'out')
    expect(await arrives(a, b, '-M', 'do', '-s', '1272')).toBe(true) // 1300 with its headers
    const long = await a.exec('ping', ['-M', 'do', '-s', '1273', '-c', '1', '-W', '0.3', b.address], { mayFail: true })
    expect(long).toMatchObject({ code: 1, stderr: '' })
    expect(long.stdout).not.toContain('needed')
    expect(await arrives(b, a, '-M', 'do', '-s', '1272')).toBe(true)
  })

  test('TCP is cut up before it meets a black hole: segments that fit get through', async () => {
    await link.blackHole(1500)
    const { gbitPerSecond } = await iperf({ from: a, to: b, address: b.address, seconds: 1 })
    expect(gbitPerSecond).toBeGreaterThan(0.05)
  })

  test('a rate holds, both ways', async () => {
    await link.rate(100)
    for (const reverse of [false, true]) {
      const { gbitPerSecond } = await iperf({ from: a, to: b, address: b.address, seconds: 2, reverse })
      expect(gbitPerSecond).toBeGreaterThan(0.08)
      expect(gbitPerSecond).toBeLessThan(0.105)
    }
  })

  test('pings at 1 kHz see how long a gap was', async () => {
    const running = ping(a, b.address)
    await running.replied(300)
    await link.silence()
    const from = performance.now()
    await new Promise((done) => setTimeout(done, 400))
    await link.restore()
    const silentMs = performance.now() - from
    await running.replied(300)
    const { longestGapMs } = await running.stop()
    expect(longestGapMs).toBeGreaterThan(390)
    expect(longestGapMs).toBeLessThan(silentMs + 100)
  })

  test.skipIf(captureRefusal() !== null)('a capture holds what passed, and counters count it', async () => {
    const before = await link.counters()
    const running = await link.capture({ filter: 'icmp' })
    await a.exec('ping', ['-c', '5', '-i', '0.01', b.address])
    expect(await running.stop()).toBe(10)
    expect((await stat(running.file)).size).toBeGreaterThan(10 * 98)
    const after = await link.counters()
    expect(after.txPackets - before.txPackets).toBeGreaterThanOrEqual(5)
    expect(after.rxBytes - before.rxBytes).toBeGreaterThanOrEqual(5 * 98)
  })
})

describe('a cut between two on the internet', () => {
  test('parts these two and nobody else, until it is healed', async () => {
    await using world = await up('three-workers')
    const relay = world.node('relay').address
    const reaches = async () =>
      (await world.node('worker-a').exec('ping', ['-c', '1', '-W', '0.3', relay], { mayFail: true })).code === 0
    expect(world.publicAddress('worker-a')).toBe(world.node('home-a').address)
    const heal = await world.cut('worker-a', 'relay')
    expect(await reaches()).toBe(false)
    expect((await world.node('worker-b').exec('ping', ['-c', '1', '-W', '1', relay])).code).toBe(0)
    await heal()
    expect(await reaches()).toBe(true)
  })
})
