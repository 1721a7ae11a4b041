import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Peer } from '@ropewalk/shared/api'
import type { Snapshot } from '@ropewalk/shared/topology'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../lab/index.ts'
import { MeshWorld } from './mesh-world.ts'

const CONTENT = 'from a service of the mesh'
const SETTLE_MS = 10_000

let mesh: MeshWorld

beforeAll(async () => {
  mesh = await MeshWorld.open()
  await mesh.startAdmin()
  await mesh.start('worker-a')
  await mesh.ready('worker-a')
}, 60_000)

afterAll(async () => {
  await mesh?.[Symbol.asyncDispose]()
}, 30_000)

test('a device with stock WireGuard is a member by the file that wg-quick takes, until it is revoked', async () => {
  const file = join(mesh.folder, 'phone.conf')
  const exported = await mesh.admin(['wireguard', 'export', 'phone', '--tag', 'guest', '--file', file, '-o', 'json'])
  const result = JSON.parse(exported.stdout)
  expect(result).toMatchObject({ version: 1, name: 'phone', file, cannotReach: ['worker-a'] })
  expect(result.reaches.toSorted()).toEqual(['admin', 'relay'])
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(await readFile(file, 'utf8')).toMatch(/^# worker-a .* has no public address/m)

  const admin = (await mesh.json<{ peers: Peer[] }>('worker-a', ['peers'])).peers.find(({ name }) => name === 'admin')
  const [v6 = '', v4 = ''] = admin?.addresses ?? []
  const serve = `require('http').createServer((_, answer) => answer.end('${CONTENT}')).listen(8000, '127.0.0.1')`
  mesh.node('relay').spawn(process.execPath, ['-e', serve])
  await mesh.admin(['expose', 'web=8000'])

  const phone = mesh.node('engineer')
  await phone.exec('wg-quick', ['up', file])
  const fetched = (host: string, port: number) =>
    phone.exec('curl', ['-s', '--max-time', '2', `http://${host}:${port}/`], { mayFail: true })
  for (const host of [v4, `[${v6}]`]) {
    await until(SETTLE_MS, `the service at ${host}`, async () =>
      (await fetched(host, 8000)).stdout === CONTENT ? true : null,
    )
    expect((await fetched(host, 8001)).code).not.toBe(0)
  }

  // everybody knows of it; who speaks with it says so
  const seen = async (state: string) => {
    const { stdout } = await mesh.admin(['peers', '-o', 'json'])
    const peers = (JSON.parse(stdout) as { peers: Peer[] }).peers
    return peers.find(({ name, state: its }) => name === 'phone' && its === state) ?? null
  }
  expect((await until(SETTLE_MS, 'a session', () => seen('direct')))?.tags).toEqual(['guest', 'wireguard'])
  await until(SETTLE_MS, 'the phone in the topology', async () => {
    const { nodes } = JSON.parse((await mesh.admin(['topology', '-o', 'json'])).stdout) as Snapshot
    return nodes.some(({ name, state }) => name === 'phone' && state === 'online') ? true : null
  })
  const { peers } = await mesh.json<{ peers: Peer[] }>('worker-a', ['peers'])
  expect(peers.map(({ name }) => name)).toContain('phone')

  await mesh.admin(['revoke', 'phone'])
  await until(SETTLE_MS, 'its end', async () => ((await fetched(v4, 8000)).code === 0 ? null : true))
  await phone.exec('wg-quick', ['down', file])
}, 90_000)

test('what cannot be exported is refused, and nothing is left behind', async () => {
  const file = join(mesh.folder, 'taken.conf')
  const refused = await mesh.admin(['wireguard', 'export', 'worker-a', '--file', file], { mayFail: true })
  expect([refused.code, refused.stderr]).toEqual([expect.any(Number), expect.stringContaining('[name-taken]')])
  expect(await readFile(file, 'utf8').catch(({ code }) => code)).toBe('ENOENT')
  const existing = await mesh.admin(['wireguard', 'export', 'other', '--file', mesh.state('admin')], { mayFail: true })
  expect([existing.code, existing.stderr]).toEqual([2, expect.stringContaining('is there already')])
  const tagged = await mesh.admin(['invite', '--tag', 'wireguard'], { mayFail: true })
  expect([tagged.code, tagged.stderr]).toEqual([2, expect.stringContaining('wireguard export')])
  const rootless = await mesh.ropewalk('worker-a', ['wireguard', 'export', 'other'], { mayFail: true })
  expect([rootless.code, rootless.stderr]).toEqual([expect.any(Number), expect.stringContaining('[missing-right]')])
})
