import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ping, until } from '../lab/index.ts'
import { MeshWorld, NETWORK } from './mesh-world.ts'

interface Status {
  readonly self: { readonly name: string; readonly addresses: readonly string[] }
}

let mesh: MeshWorld

beforeAll(async () => {
  mesh = await MeshWorld.open()
  await Promise.all([
    mesh.start('worker-a', { args: ['--expose', 'web=8000'] }),
    mesh.start('worker-b'),
    mesh.start('engineer'),
  ])
  await Promise.all(['worker-a', 'worker-b', 'engineer'].map((name) => mesh.ready(name)))
  const service = mesh.node('worker-a').spawn('python3', ['-um', 'http.server', '8000', '--bind', '127.0.0.1'])
  await service.says(/Serving HTTP/)
}, 60_000)

afterAll(async () => {
  await mesh?.[Symbol.asyncDispose]()
}, 30_000)

async function fetches(via: 'mesh' | 'tunnel'): Promise<boolean> {
  const input = 'GET / HTTP/1.0\r\n\r\n'
  const args = ['ssh-proxy', 'worker-a', 'web', '--via', via, '--timeout', '5s']
  const { code, stdout } = await mesh.ropewalk('engineer', args, { input, mayFail: true })
  return code === 0 && stdout.includes('200 OK')
}

describe('what comes back by itself', () => {
  test('a worker killed with -9 is back within 5 s of its restart, the same and without a ticket', async () => {
    await mesh.untilLink('engineer', 'worker-b', 'direct', 20_000)
    const before = await mesh.json<Status>('worker-b', ['status'])
    await mesh.running('worker-b').kill('SIGKILL')
    await mesh.running('worker-b').ended
    const startedAt = performance.now()
    await mesh.start('worker-b', { again: true })
    await until(20_000, 'worker-b to answer again', async () => {
      const { code } = await mesh
        .node('engineer')
        .exec('ping', ['-c', '1', '-W', '1', `worker-b.${NETWORK}.internal`], { mayFail: true })
      return code === 0 ? true : null
    })
    const seconds = (performance.now() - startedAt) / 1000
    console.log(`a worker killed with -9 answered ${seconds.toFixed(1)} s after its restart`)
    expect(seconds).toBeLessThan(5)
    await mesh.ready('worker-b')
    const after = await mesh.json<Status>('worker-b', ['status'])
    expect(after.self).toMatchObject({ name: before.self.name, addresses: before.self.addresses })
  }, 60_000)

  test('the relay killed: direct links lose nothing, and tunnels are back within 5 s of its restart', async () => {
    await mesh.untilLink('engineer', 'worker-a', 'direct', 20_000)
    expect(await fetches('tunnel')).toBe(true)
    const { self } = await mesh.json<Status>('worker-a', ['status'])
    const target = self.addresses[1] ?? ''
    const pinging = ping(mesh.node('engineer'), target, { intervalMs: 10 })
    await pinging.replied(20)
    await mesh.running('relay').kill('SIGKILL')
    await mesh.running('relay').ended
    expect(await fetches('mesh')).toBe(true)
    await pinging.replied(200)
    const report = await pinging.stop()
    console.log(`${report.sent} echoes over the direct link while the relay died: ${report.lost} lost`)
    expect(report.lost).toBe(0)
    const startedAt = performance.now()
    await mesh.startRelay()
    const readyAt = performance.now()
    await until(20_000, 'the tunnel to carry again', async () => ((await fetches('tunnel')) ? true : null))
    const seconds = (performance.now() - readyAt) / 1000
    console.log(
      `the relay was ready ${((readyAt - startedAt) / 1000).toFixed(1)} s after its restart, tunnels ${seconds.toFixed(1)} s later`,
    )
    expect(seconds).toBeLessThan(5)
  }, 90_000)
})
