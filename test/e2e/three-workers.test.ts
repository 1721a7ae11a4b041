import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sshdRefusal, until } from '../lab/index.ts'
import { MEMBERS, MeshWorld, NETWORK, WORKERS } from './mesh-world.ts'

const RUN_CELL = join(import.meta.dirname, 'programs/run-cell.ts')
const refusal = sshdRefusal()
const hasJupyter = spawnSync('which', ['jupyter-server']).status === 0

const FILE_BYTES = 200 * 1024 * 1024
const pairs = MEMBERS.flatMap((from) => MEMBERS.filter((to) => to !== from).map((to) => [from, to] as const))
/** An easy NAT meets an easy NAT; the hard one meets nobody but by the relay. */
const isDirect = (from: string, to: string) => ![from, to].includes('worker-c')

let mesh: MeshWorld

beforeAll(async () => {
  mesh = await MeshWorld.open()
  await Promise.all(MEMBERS.map((name) => mesh.moveIn(name)))
  if (refusal === null) await Promise.all(WORKERS.map((name) => mesh.node(name).exec('ssh-keygen', ['-A'])))
  else console.log(`tests of ssh are skipped: ${refusal}`)
  await Promise.all(WORKERS.map((name) => mesh.start(name, { args: ['--expose', 'ssh,web=8000,jupyter=8888'] })))
  await Promise.all(WORKERS.map((name) => mesh.ready(name)))
}, 60_000)

afterAll(async () => {
  await mesh?.[Symbol.asyncDispose]()
}, 30_000)

describe('three workers behind NAT, from nothing', () => {
  test('every pair pings by address and by name within 5 s of the last start', async () => {
    await mesh.ticket('engineer')
    const startedAt = performance.now()
    await mesh.start('engineer', { ticketed: true })
    await Promise.all(
      pairs.map(async ([from, to]) => {
        await until(15_000, `${from} to ping ${to}`, async () => {
          const { code } = await mesh
            .node(from)
            .exec('ping', ['-c', '1', '-W', '1', `${to}.${NETWORK}.internal`], { mayFail: true })
          return code === 0 ? true : null
        })
      }),
    )
    const seconds = (performance.now() - startedAt) / 1000
    console.log(`all ${pairs.length} pairs pinged ${seconds.toFixed(1)} s after the last start`)
    expect(seconds).toBeLessThan(5)
    await mesh.ready('engineer')
    for (const [from, to] of pairs) {
      const { peer } = await mesh.json<{ peer: string }>(from, ['ping', to, '-c', '1'])
      expect(peer).toBe(to)
    }
  }, 60_000)

  test('pairs that can become direct do, the others go over the relay', async () => {
    await Promise.all(
      pairs.map(([from, to]) => mesh.untilLink(from, to, isDirect(from, to) ? 'direct' : 'relay', 20_000)),
    )
  }, 60_000)

  test('a direct pair leaves the relay alone', async () => {
    await mesh.untilLink('worker-a', 'worker-b', 'direct', 20_000)
    const before = await mesh.node('relay').counters()
    await mesh.node('worker-a').exec('ping', ['-c', '500', '-i', '0.002', '-s', '1000', `worker-b.${NETWORK}.internal`])
    const after = await mesh.node('relay').counters()
    const bytes = Object.keys(after)
      .filter((name) => name !== 'lo')
      .map((name) => (after[name]?.rxBytes ?? 0) - (before[name]?.rxBytes ?? 0))
    expect(Math.max(...bytes)).toBeLessThan(100_000) // 500 echoes of 1 kB are 500 kB one way; four peers talk to their relay meanwhile
  }, 30_000)

  test('a port that is not exposed is closed, by mesh and by tunnel', async () => {
    const listener = mesh.node('worker-a').spawn('python3', ['-m', 'http.server', '8001', '--bind', '::'])
    try {
      await until(10_000, 'the service to listen', async () => {
        const { code } = await mesh.node('worker-a').exec('sh', ['-c', 'ss -ltn | grep -q :8001'], { mayFail: true })
        return code === 0 ? true : null
      })
      const direct = await mesh
        .node('engineer')
        .exec('python3', ['-c', connect(`worker-a.${NETWORK}.internal`, 8001)], { mayFail: true })
      expect(direct.code).not.toBe(0)
      for (const via of ['mesh', 'tunnel']) {
        const { code, stderr } = await mesh.ropewalk('engineer', ['ssh-proxy', 'worker-a', '8001', '--via', via], {
          mayFail: true,
        })
        expect([code, stderr]).toEqual([5, expect.stringContaining('not-exposed')])
      }
    } finally {
      await listener.stop()
    }
  }, 60_000)
})

describe.skipIf(refusal !== null)('the engineer', () => {
  beforeAll(async () => {
    await mesh
      .node('engineer')
      .exec('sh', ['-c', `ssh-keygen -q -t ed25519 -N '' -f ${mesh.home('engineer')}/.ssh/id_ed25519`])
    await startSshd('worker-a')
    await startSshd('worker-b')
    await startSshd('worker-c')
  }, 30_000)

  test('gets a shell by the stock ssh, its host key pinned through the mesh', async () => {
    await mesh.ropewalk('engineer', ['ssh-config', '--install'])
    const { stdout } = await mesh.node('engineer').exec('ssh', ['-o', 'BatchMode=yes', 'worker-a', 'hostname'])
    expect(stdout.trim()).toBe('worker-a')
    const relayed = await mesh.ropewalk('engineer', ['ssh', 'worker-c', '--', '-o', 'BatchMode=yes', 'hostname'])
    expect(relayed.stdout.trim()).toBe('worker-c')
  }, 60_000)

  test('plain ssh works too: the mesh is an ordinary network', async () => {
    const options = [
      '-o',
      'BatchMode=yes',
      '-o',
      'StrictHostKeyChecking=no',
      '-o',
      'UserKnownHostsFile=/dev/null',
      '-F',
      'none',
    ]
    const { stdout } = await mesh.node('engineer').exec('ssh', [...options, `worker-b.${NETWORK}.internal`, 'hostname'])
    expect(stdout.trim()).toBe('worker-b')
  }, 30_000)

  for (const via of ['mesh', 'tunnel']) {
    test(`copies 200 MB each way by ${via}, every byte the same`, async () => {
      const file = join(mesh.folder, `bulk-${via}`)
      await writeFile(file, randomish(FILE_BYTES))
      await mesh.ropewalk('engineer', ['ssh-config', '--install', '--via', via])
      const options = ['-o', 'BatchMode=yes', '-o', 'ControlMaster=no', '-o', 'ControlPath=none']
      const began = performance.now()
      await mesh.node('engineer').exec('scp', [...options, file, `worker-a:${file}-there`], { timeoutMs: 120_000 })
      await mesh
        .node('engineer')
        .exec('scp', [...options, `worker-a:${file}-there`, `${file}-back`], { timeoutMs: 120_000 })
      const seconds = (performance.now() - began) / 1000
      console.log(
        `scp of 200 MB there and back by ${via}: ${seconds.toFixed(1)} s, ${((2 * FILE_BYTES) / 1e6 / seconds).toFixed(0)} MB/s`,
      )
      const [original, there, back] = await Promise.all([sha256(file), sha256(`${file}-there`), sha256(`${file}-back`)])
      expect([there, back]).toEqual([original, original])
    }, 180_000)
  }
})

describe.skipIf(!hasJupyter)('a real Jupyter server', () => {
  const token = 'd'.repeat(32)

  beforeAll(async () => {
    const words = [
      '--allow-root',
      '--no-browser',
      '--ServerApp.ip=127.0.0.1',
      '--ServerApp.port=8888',
      `--ServerApp.token=${token}`,
      `--ServerApp.root_dir=${mesh.folder}`,
    ]
    const env = { HOME: mesh.home('worker-a'), PYTHONDONTWRITEBYTECODE: '1' }
    const server = mesh.node('worker-a').spawn('jupyter-server', words, { env })
    await server.says(/is running at/)
  }, 40_000)

  for (const [index, via] of ['mesh', 'tunnel'].entries()) {
    test(`runs a cell through a forward by ${via}: its answer comes back over the WebSocket`, async () => {
      const port = 18_888 + index
      const forward = mesh.spawn('engineer', ['forward', 'worker-a', `${port}:jupyter`, '--via', via])
      await forward.says(new RegExp(`127\\.0\\.0\\.1:${port}`))
      const code = 'import platform; print(platform.node(), 6 * 7)'
      const { stdout } = await mesh
        .node('engineer')
        .exec(process.execPath, [RUN_CELL, `http://127.0.0.1:${port}`, token, code], { timeoutMs: 60_000 })
      expect(stdout.trim()).toBe('worker-a 42')
      await forward.stop()
    }, 90_000)
  }
})

function connect(host: string, port: number): string {
  return `import socket; socket.create_connection((${JSON.stringify(host)}, ${port}), timeout=3)`
}

/** Bytes that do not compress, made fast. */
function randomish(length: number): Buffer {
  const block = createHash('shake256', { outputLength: 1 << 20 })
    .update('ropewalk')
    .digest()
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at += block.length) block.copy(bytes, at)
  for (let at = 0; at < length; at += 4096) bytes.writeUInt32LE(at, at)
  return bytes
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

/** The machine's own sshd in a node; root of the engineer's node may log in by key. */
async function startSshd(name: string): Promise<void> {
  const node = mesh.node(name)
  const folder = join(mesh.folder, `sshd-${name}`)
  await mkdir(folder)
  const config = join(folder, 'sshd_config')
  const lines = [
    'Port 22',
    'ListenAddress 127.0.0.1',
    `AuthorizedKeysFile ${mesh.home('engineer')}/.ssh/id_ed25519.pub`,
    'StrictModes no',
    'PermitRootLogin yes',
    'UsePAM no',
    'PidFile none',
    'Subsystem sftp internal-sftp',
  ]
  await writeFile(config, `${lines.join('\n')}\n`)
  const sshd = node.spawn('/usr/sbin/sshd', ['-D', '-e', '-f', config])
  await sshd.says(/Server listening/)
}
