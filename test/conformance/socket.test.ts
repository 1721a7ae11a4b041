import { createConnection, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { until, up } from '../lab/index.ts'
import { makeKeyPair } from '../wireguard/index.ts'
import { type StockDevice, startStock } from './device.ts'

// The socket that `wg` speaks to (wireguard.com/xplatform): lines of KEY=VALUE, an empty line ends a request.

const ANSWER_TIMEOUT_MS = 3_000

test('who asks is answered though another has sent half of a change', async () => {
  await using world = await up('two-hosts')
  const device = await startStock(world.node('a'))
  using slow = await connect(device)
  slow.say(`set=1\npublic_key=${makeKeyPair().publicKey.toString('hex')}\nallowed`)
  using quick = await connect(device)
  quick.say('get=1\n\n')
  expect(await quick.answer()).toContain('errno=0')
  await device.set('listen-port', 4444)
  expect(await device.show('listen-port')).toEqual([['4444']])
  slow.say('_ip=10.1.0.0/16\n\n')
  expect(await slow.answer()).toBe('errno=0\n\n')
  expect((await device.show('allowed-ips')).map((row) => row[1])).toEqual(['10.1.0.0/16'])
})

test('a client may go away in the middle of a sentence', async () => {
  await using world = await up('two-hosts')
  const device = await startStock(world.node('a'))
  for (const words of ['', 'g', 'get=1\n', 'set=1\nlisten_port=', `set=1\npublic_key=${'a'.repeat(64)}\n`]) {
    using client = await connect(device)
    client.say(words)
  }
  expect(await device.show('private-key')).toEqual([[expect.any(String)]])
})

test('several requests go over one connection, and each has an answer', async () => {
  await using world = await up('two-hosts')
  const device = await startStock(world.node('a'))
  using client = await connect(device)
  client.say('set=1\nlisten_port=4545\n\n')
  expect(await client.answer()).toBe('errno=0\n\n')
  client.say('get=1\n\n')
  expect(await client.answer()).toMatch(/(^|\n)listen_port=4545\n(.*\n)*errno=0\n\n$/)
})

test('what cannot be understood is refused by a number, and the device goes on', async () => {
  await using world = await up('two-hosts')
  const device = await startStock(world.node('a'))
  const requests = [
    'set=1\nlisten_port=70000\n\n',
    'set=1\nprivate_key=abc\n\n',
    `set=1\npublic_key=${'z'.repeat(64)}\n\n`,
    `set=1\npublic_key=${'b'.repeat(64)}\nallowed_ip=10.0.0.0/33\n\n`,
    `set=1\npublic_key=${'b'.repeat(64)}\nendpoint=nowhere\n\n`,
    'set=1\nno_such_key=1\n\n',
    'set=1\nallowed_ip=10.0.0.0/8\n\n',
  ]
  for (const request of requests) {
    using client = await connect(device)
    client.say(request)
    expect(await client.answer(), request).toMatch(/^errno=-?[1-9]\d*\n\n$/)
  }
  expect(await device.show('private-key')).toEqual([[expect.any(String)]])
})

test('the socket is for its owner only, and goes with the program', async () => {
  await using world = await up('two-hosts')
  const device = await startStock(world.node('a'))
  const { stdout } = await device.node.exec('stat', ['-c', '%U %a', '/var/run/wireguard/wg0.sock'])
  expect(stdout).toMatch(/^root [67]00\n$/)
  await device.process.stop()
  const left = await device.node.exec('sh', ['-c', 'ls /var/run/wireguard; ls /sys/class/net'])
  expect(left.stdout).not.toContain('wg0')
})

interface Client extends Disposable {
  say(words: string): void
  /** The next answer, with the empty line that ends it. */
  answer(): Promise<string>
}

async function connect(device: StockDevice): Promise<Client> {
  // Its /run is in its own mount namespace, which /proc leads into.
  const path = `/proc/${device.node.holderPid}/root/run/wireguard/${device.name}.sock`
  const socket: Socket = createConnection(path).setEncoding('utf8')
  await new Promise<void>((done, failed) => socket.once('connect', done).once('error', failed))
  let heard = ''
  socket.on('data', (text) => {
    heard += text
  })
  socket.on('error', () => {}) // whoever waits for an answer learns that there is none
  return {
    say: (words) => void socket.write(words),
    answer: () =>
      until(ANSWER_TIMEOUT_MS, `an answer on ${path}`, () => {
        const end = heard.indexOf('\n\n')
        if (end < 0) return null
        const answer = heard.slice(0, end + 2)
        heard = heard.slice(end + 2)
        return answer
      }),
    [Symbol.dispose]: () => void socket.destroy(),
  }
}
