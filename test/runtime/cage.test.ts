import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type LabNode, until, up, type World } from '../lab/index.ts'
import { CageHost } from './cage-host.ts'
import { hostState } from './host-state.ts'

const READY_MS = 5_000
/** A lease's end must be done after this, in ms. */
const END_MS = 2_000
/** The lab's own limits: only root has more than one user. */
const oneUser = Number(readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/)[2]) === 1

let world: World
let runtime: string
let a: LabNode
let b: LabNode
let host: CageHost
/** Ended after each test, if it has not done so itself. */
const opened: string[] = []

beforeAll(async () => {
  world = await up('two-hosts')
  a = world.node('a')
  b = world.node('b')
  const folder = await world.folder()
  runtime = join(folder, 'runtime')
  await mkdir(join(runtime, 'bin'), { recursive: true })
  await writeFile(join(runtime, 'bin', 'python3'), '#!/bin/sh\nexec /usr/bin/python3 "$@"\n', { mode: 0o755 })
  host = new CageHost(a, join(folder, 'cages'))
})
afterEach(async () => {
  for (const id of opened.splice(0)) await host.ask({ what: 'stop', id })
})
afterAll(() => world?.down())

interface Wish {
  readonly ports?: number
  readonly memoryMiB?: number
  readonly env?: Record<string, string>
  readonly interface?: string
}

/** Opens a cage on `a` with a shell script in it, and gives its id. Its mesh is an interface that is not there. */
async function open(script: string, wish: Wish = {}, by = host): Promise<string> {
  const id = randomBytes(16).toString('hex')
  const spec = {
    id,
    command: ['sh', '-c', script],
    env: wish.env ?? {},
    runtime,
    devices: { cpus: 1, memoryMiB: wish.memoryMiB ?? 256, gpus: [] },
    ports: wish.ports ?? 20_000,
    mesh: { interface: wish.interface ?? 'ropewalk', addresses: [a.address] },
  }
  await by.ask({ what: 'open', spec })
  if (by === host) opened.push(id)
  return id
}

/** A server on all interfaces that answers with a line. */
const serve = (port: number) =>
  `exec python3 -c "
import socket
s = socket.create_server(('', ${port}), family=socket.AF_INET6, dualstack_ipv6=True)
print('listens', flush=True)
while True:
    c, _ = s.accept()
    c.sendall(b'hello')
    c.close()
"`

const call = (address: string, port: number) =>
  `python3 -c "
import socket
try: print(socket.create_connection(('${address}', ${port}), 1).recv(9).decode())
except TimeoutError: print('silence')
except OSError as error: print(error.strerror)
"`

async function says(id: string, words: string): Promise<void> {
  await until(READY_MS, `the cage to say ${words}`, async () =>
    (await host.ask<string>({ what: 'tail', id })).includes(words) ? true : null,
  )
}

async function callFrom(node: LabNode, address: string, port: number, as?: 'somebody'): Promise<string> {
  return (await node.exec('sh', ['-c', call(address, port)], as === undefined ? {} : { as })).stdout.trim()
}

test('cages can be made here', async () => {
  expect(await host.ask({ what: 'check' })).toBeNull()
})

describe('what is in a cage', () => {
  test('sees its own processes and no other, and has no right of root', async () => {
    const id = await open('exec sleep 1000')
    const processes = await host.sh(id, 'ps -eo args=')
    expect(processes).toContain('sleep 1000')
    expect(processes).not.toContain('cages.ts')
    expect(await host.sh(id, 'grep CapEff /proc/self/status')).toMatch(/\t0+$/)
    expect(await host.sh(id, 'grep CapBnd /proc/self/status')).toMatch(/\t0+$/)
    expect(await host.sh(id, 'grep NoNewPrivs /proc/self/status')).toMatch(/\t1$/)
    if (!oneUser) expect(await host.sh(id, 'id -u')).toBe('700000')
  })

  test("sees neither this machine's files nor another lease's, and can change nothing but its own", async () => {
    const one = await open('exec sleep 1000')
    const other = await open('exec sleep 1000', { ports: 20_100 })
    await host.sh(one, 'echo private >/tmp/private-note; echo private >$HOME/private-note')
    expect(
      await host.sh(other, `find / -name private-note -not -path '/proc/*' -not -path '/sys/*' 2>/dev/null || :`),
    ).toBe('')
    expect(
      await host.sh(one, `ls -d ${await world.folder()} /etc/shadow /etc/ssh /home/* /var/log 2>/dev/null || :`),
    ).toBe('/home/lease')
    for (const path of ['/usr/x', '/etc/x', '/opt/runtime/x', '/x', '/proc/sys/net/ipv4/ip_forward'])
      expect(await host.sh(one, `echo 1 2>&1 >${path} || echo refused`)).toContain('refused')
  })

  test('gets its variables, and no command line on the machine shows them', async () => {
    const secret = randomBytes(16).toString('hex')
    const id = await open('exec sleep 1000', { env: { TOKEN: secret } })
    expect(await host.sh(id, 'echo $TOKEN')).toBe(secret)
    expect((await a.exec('ps', ['-eo', 'args='])).stdout).not.toContain(secret)
  })

  test('is broken off when it takes too long, and leaves nothing running', async () => {
    const id = await open('exec sleep 1000')
    const late = host.ask({ what: 'exec', id, command: ['sh', '-c', 'sleep 2000; :'], timeoutMs: 500 })
    await expect(late).rejects.toMatchObject({ code: 'timeout' })
    await until(READY_MS, 'the command to end', async () =>
      (await host.sh(id, 'ps -eo args=')).includes('sleep 2000') ? null : true,
    )
  })

  test('tells how it ended, with its last words', async () => {
    const id = await open('echo the last words >&2; exit 7')
    expect(await host.ask({ what: 'ended', id })).toEqual({ code: 7, tail: 'the last words' })
    await expect(host.sh(id, 'true')).rejects.toMatchObject({ code: 'not-running' })
  })
})

describe('ports of a lease', () => {
  test.each([20_005, 40_005])('%i is closed for a neighbour on the LAN, silently', async (port) => {
    const id = await open(serve(port))
    await says(id, 'listens')
    expect(await callFrom(a, '127.0.0.1', port)).toBe('hello')
    const inBlock = port < 30_000
    if (inBlock || !oneUser) expect(await callFrom(b, a.address, port)).toBe('silence')
    await host.ask({ what: 'stop', id })
    expect(await callFrom(b, a.address, port)).toBe('Connection refused')
  })

  test.each([20_005, 40_005])(
    '%i is open on the interface of the mesh: what passes there the engine decides',
    async (port) => {
      const id = await open(serve(port), { interface: 'eth0' })
      await says(id, 'listens')
      expect(await callFrom(b, a.address, port)).toBe('hello')
      await host.ask({ what: 'stop', id })
    },
  )

  test.skipIf(oneUser).each([20_005, 40_005])(
    '%i is closed for other users of the machine, other leases too',
    async (port) => {
      const id = await open(serve(port))
      const other = await open('exec sleep 1000', { ports: 20_100 })
      await says(id, 'listens')
      for (const address of ['127.0.0.1', a.address]) {
        expect(await host.sh(id, call(address, port))).toBe('hello')
        expect(await callFrom(a, address, port, 'somebody')).toBe('silence')
        // what it can have opened itself is told from others' by the socket alone
        expect(await host.sh(other, call(address, port))).toBe(port < 30_000 ? 'Connection refused' : 'silence')
      }
    },
  )

  test.skipIf(oneUser)(
    'do not lead out to the services of the machine, but names are resolved and neighbours reached',
    async () => {
      const services = [53, 6_000].map((port) => a.spawn('sh', ['-c', serve(port)]))
      const neighbour = b.spawn('sh', ['-c', serve(6_000)])
      await Promise.all([...services, neighbour].map((service) => service.says(/listens/)))
      const id = await open('exec sleep 1000')
      expect(await host.sh(id, call('127.0.0.1', 6_000))).toBe('Connection refused')
      expect(await host.sh(id, call('127.0.0.1', 53))).toBe('hello')
      expect(await host.sh(id, call(b.address, 6_000))).toBe('hello')
      await host.ask({ what: 'stop', id })
      await Promise.all([...services, neighbour].map((service) => service.stop()))
    },
  )
})

describe('an end', () => {
  /** Three that ignore every signal they can and have left their session. */
  const STUBBORN = `trap '' TERM HUP INT; for n in 1 2 3; do setsid sh -c "trap '' TERM HUP INT; while :; do sleep 1; done" & done; echo up; wait`

  test('is done in time, whatever runs, and leaves nothing', async () => {
    const before = await hostState(a, host.folder)
    const id = await open(STUBBORN)
    await says(id, 'up')
    expect(await host.ask<number>({ what: 'stop', id })).toBeLessThan(END_MS)
    expect(await hostState(a, host.folder)).toEqual(before)
  })

  test('comes with that of the peer, kill -9 included', async () => {
    const folder = join(await world.folder(), 'killed')
    const before = await hostState(a, folder)
    const peer = new CageHost(a, folder)
    await open(STUBBORN, {}, peer)
    await open('exec sleep 1000', { ports: 20_100 }, peer)
    expect(await readdir(folder)).toHaveLength(2)
    await peer.process.kill('SIGKILL')
    await peer.process.ended
    await until(END_MS, 'all traces to go', async () =>
      JSON.stringify(await hostState(a, folder)) === JSON.stringify(before) ? true : null,
    )
  })

  test('of the keeper is that of the cage, and the next peer removes the rest', async () => {
    const folder = join(await world.folder(), 'swept')
    const before = await hostState(a, folder)
    const peer = new CageHost(a, folder)
    const id = await open(STUBBORN, {}, peer)
    await a.exec('sh', ['-c', `kill -9 $(cat ${join(folder, id, 'keeper')})`])
    expect(await peer.ask({ what: 'ended', id })).toMatchObject({ code: null })
    await peer.process.kill('SIGKILL')
    await peer.process.ended
    const next = new CageHost(a, folder)
    expect(await next.ask({ what: 'sweep' })).toEqual([id])
    await next.process.stop()
    expect(await hostState(a, folder)).toEqual(before)
  })

  test('is complete, twenty times', async () => {
    const before = await hostState(a, host.folder)
    for (let cycle = 0; cycle < 20; cycle += 1) await host.ask({ what: 'stop', id: await open('exec sleep 1000') })
    expect(await hostState(a, host.folder)).toEqual(before)
  })
})

test.skipIf(oneUser)('the leased memory is a limit', async () => {
  const id = await open('exec sleep 1000', { memoryMiB: 64 })
  const eat = (mib: number) => `python3 -c "x = b'x' * (${mib} << 20); print('ate')" || echo killed`
  expect(await host.sh(id, eat(30))).toBe('ate')
  expect(await host.sh(id, eat(100))).toBe('killed')
  expect(
    await host.sh(id, 'dd if=/dev/zero of=/dev/shm/x bs=1M count=100 2>/dev/null && echo wrote || echo refused'),
  ).not.toBe('wrote')
})
