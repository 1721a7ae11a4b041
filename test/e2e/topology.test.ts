import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MeshWorld, WORKERS } from './mesh-world.ts'
import { Observer } from './observer.ts'

const LOUD_MS = 2_000
const SILENT_MS = 15_000

let mesh: MeshWorld
let observer: Observer

beforeAll(async () => {
  mesh = await MeshWorld.open()
  await Promise.all(WORKERS.map((name) => mesh.start(name, { args: ['--expose', 'web=8000'] })))
  await Promise.all(WORKERS.map((name) => mesh.ready(name)))
  observer = await Observer.open(mesh, 'engineer')
}, 60_000)

afterAll(async () => {
  await observer?.close()
  await mesh?.[Symbol.asyncDispose]()
}, 30_000)

const isOnline = (name: string) => observer.node(name)?.state === 'online'
const isDead = (name: string) =>
  observer.node(name)?.state === 'offline' && observer.links(name).every(({ state }) => state === 'down')

describe('the topology API tells the truth', () => {
  test('of a mesh that is well: members, services, and each link as both ends see it', async () => {
    await observer.sees('everybody linked', 20_000, () =>
      WORKERS.every((name) => isOnline(name) && observer.links(name).filter(({ state }) => state === 'up').length >= 3),
    )
    expect(observer.node('worker-a')).toMatchObject({ services: [{ name: 'web', port: 8000 }], relay: false })
    expect(observer.snapshot.relays).toMatchObject([{ name: 'relay', state: 'online' }])
    const kinds = () =>
      observer.links('worker-c').filter(({ kind }) => kind === 'relay').length === 2 &&
      observer.links('worker-a').some(({ kind, b, a }) => kind === 'direct' && [a, b].includes(idOf('worker-b')))
    await observer.sees('direct where it can be, relayed where not', 20_000, kinds)
    expect(await observer.faults()).toEqual([])
  }, 60_000)

  test('2 s after a worker was killed, and 2 s after it is back with the same addresses', async () => {
    const before = observer.node('worker-a')
    await mesh.running('worker-a').kill('SIGKILL')
    const offline = await observer.sees('worker-a dead', 10_000, () => isDead('worker-a'))
    expect(await observer.faults()).toEqual([])
    await mesh.start('worker-a', { again: true })
    await mesh.ready('worker-a')
    const back = await observer.sees('worker-a back', 20_000, () => isOnline('worker-a'))
    console.log(`killed: seen after ${offline.toFixed(0)} ms; restarted: seen ${back.toFixed(0)} ms after it was ready`)
    expect(offline).toBeLessThan(LOUD_MS)
    expect(back).toBeLessThan(LOUD_MS)
    expect(observer.node('worker-a')).toMatchObject({ nodeId: before?.nodeId, addresses: before?.addresses })
  }, 60_000)

  test('2 s after a worker said good-bye', async () => {
    await mesh.ropewalk('worker-b', ['down'])
    const offline = await observer.sees('worker-b gone', 10_000, () => isDead('worker-b'))
    console.log(`said good-bye: seen after ${offline.toFixed(0)} ms`)
    expect(offline).toBeLessThan(LOUD_MS)
    expect(await observer.faults()).toEqual([])
    await mesh.running('worker-b').ended
    await mesh.start('worker-b', { again: true })
    await mesh.ready('worker-b')
  }, 60_000)

  test('15 s after a worker fell silent', async () => {
    await observer.sees('worker-b back', 10_000, () => isOnline('worker-b'))
    await mesh.running('worker-b').kill('SIGSTOP')
    const offline = await observer.sees('worker-b silent', 25_000, () => isDead('worker-b'))
    expect(await observer.faults()).toEqual([])
    await mesh.running('worker-b').kill('SIGCONT')
    const back = await observer.sees('worker-b back', 20_000, () => isOnline('worker-b'))
    console.log(`silent: seen after ${offline.toFixed(0)} ms; speaking again: seen after ${back.toFixed(0)} ms`)
    expect(offline).toBeLessThan(SILENT_MS)
    expect(back).toBeLessThan(10_000)
  }, 90_000)

  test('after the relay was killed and started again, to a reader that comes back by itself', async () => {
    const before = observer.snapshots
    await mesh.running('relay').kill('SIGKILL')
    await mesh.running('relay').ended
    await mesh.startRelay()
    await observer.sees('a snapshot of the new relay', 20_000, () => observer.snapshots > before)
    const whole = await observer.sees('everybody online again', 20_000, () => WORKERS.every(isOnline))
    console.log(`relay restarted: everybody seen ${whole.toFixed(0)} ms after its first snapshot`)
    expect(await observer.faults()).toEqual([])
  }, 90_000)

  test('2 s after a member was revoked', async () => {
    await mesh.startAdmin()
    await mesh.admin(['revoke', 'worker-c'])
    const seen = await observer.sees('worker-c revoked', 10_000, () => observer.node('worker-c')?.state === 'revoked')
    console.log(`revoked: seen ${seen.toFixed(0)} ms after the command`)
    expect(seen).toBeLessThan(LOUD_MS)
    expect(await observer.faults()).toEqual([])
  }, 60_000)
})

function idOf(name: string): string {
  return observer.node(name)?.nodeId ?? ''
}
