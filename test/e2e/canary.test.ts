import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { capture, captureRefusal, type LabProcess } from '../lab/index.ts'
import { MeshWorld } from './mesh-world.ts'
import { countInMemory, occurrences } from './process-memory.ts'

const ECHO =
  "net.createServer((s) => s.on('error', () => {}).pipe(s)).listen(8000, '127.0.0.1', () => console.log('listening'))"
const LINES = 2_000
/** Everything that stands between the engineer and the workers, the relay included. */
const BETWEEN = ['relay', 'internet', 'cafe', 'home-a', 'home-c'] as const
const USERS = ['worker-a', 'worker-c', 'engineer'] as const

let mesh: MeshWorld

beforeAll(async () => {
  mesh = await MeshWorld.open()
  await Promise.all(
    USERS.map((name) => mesh.start(name, { args: name === 'engineer' ? [] : ['--expose', 'echo=8000'] })),
  )
  await Promise.all(USERS.map((name) => mesh.ready(name)))
  for (const name of ['worker-a', 'worker-c']) {
    await mesh
      .node(name)
      .spawn(process.execPath, ['-e', ECHO])
      .says(/listening/)
  }
  await mesh.untilLink('engineer', 'worker-a', 'direct', 20_000)
}, 60_000)

afterAll(async () => {
  await mesh?.[Symbol.asyncDispose]()
}, 30_000)

/** Sends `canary` many times through a stream and hears it come back; the stream stays open. */
async function sing(to: string, via: 'mesh' | 'tunnel', canary: string): Promise<LabProcess> {
  const stream = mesh.spawn('engineer', ['ssh-proxy', to, 'echo', '--via', via], { stdio: 'pipe' })
  for (let line = 0; line < LINES; line++) stream.child.stdin?.write(`${line} ${canary}\n`)
  await stream.says(new RegExp(`${LINES - 1} ${canary}`))
  return stream
}

test.skipIf(captureRefusal() !== null)(
  'nobody in the middle can read: a canary is in no capture on the way, nor in the relay’s memory, log or files',
  async () => {
    const canary = `canary-${randomBytes(16).toString('hex')}`
    const wanted = Buffer.from(canary)
    const captures = await Promise.all([
      ...BETWEEN.map((name) => capture(mesh.node(name), 'any', join(mesh.folder, `${name}.pcap`))),
      capture(mesh.node('worker-a'), 'lo', join(mesh.folder, 'last-step.pcap')),
    ])
    const streams = await Promise.all([
      sing('worker-a', 'tunnel', canary),
      sing('worker-a', 'mesh', canary), // direct
      sing('worker-c', 'mesh', canary), // WireGuard by way of the relay
    ])
    const relay = mesh.running('relay')
    expect(await countInMemory(await relay.pid(), wanted)).toBe(0)
    expect(await countInMemory(await relay.pid(), Buffer.from(canary, 'utf16le'))).toBe(0)
    // the same look does find it where it may be: with the worker that decrypts it, and on that one's own loopback
    expect(await countInMemory(await mesh.running('worker-a').pid(), wanted)).toBeGreaterThan(0)
    for (const stream of streams) await stream.stop()
    const counts: Record<string, { packets: number; found: number }> = {}
    for (const running of captures) {
      const packets = await running.stop()
      counts[running.file] = { packets, found: occurrences(await readFile(running.file), wanted) }
    }
    const lastStep = counts[join(mesh.folder, 'last-step.pcap')]
    expect(lastStep?.found).toBeGreaterThan(LINES)
    for (const name of BETWEEN) {
      const { packets = 0, found } = counts[join(mesh.folder, `${name}.pcap`)] ?? {}
      console.log(`${name}: ${packets} packets, canary seen ${found} times`)
      expect([name, packets > 100, found]).toEqual([name, true, 0])
    }
    expect(relay.output()).not.toContain(canary)
    for (const entry of await readdir(mesh.state('relay'), { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) expect(await readFile(join(entry.parentPath, entry.name), 'utf8')).not.toContain(canary)
    }
  },
  90_000,
)
