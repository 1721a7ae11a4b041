import { spawnSync } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClusterAccess, ClusterView, DeviceView, Job, Unasked } from '@ropewalk/shared/api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EventReader } from '../../peer/watchers/test-event-reader.ts'
import { checkout, iperf, until } from '../lab/index.ts'
import { ensureRay } from '../runtime/index.ts'
import { hasChromium, pageText } from './chromium.ts'
import { exampleResult } from './example-result.ts'
import { FollowedEvents } from './followed-events.ts'
import { openHiringWorld } from './hiring-world.ts'
import { type MeshWorld, WORKERS } from './mesh-world.ts'

const PROGRAMS = join(import.meta.dirname, 'programs')
const RUN_CELL = join(PROGRAMS, 'run-cell.ts')
const hasJupyter = spawnSync('which', ['jupyter-server']).status === 0
const CREATE_MS = 30_000
const [HEAD, OTHER, THIRD] = WORKERS
const runtime = ensureRay()

let mesh: MeshWorld
/** What the workers are like before anything was hired. */
let before: readonly string[] = []
/** What the hirer's peer tells of its clusters, and the head's of its leases. */
let told: FollowedEvents
let toldByHead: FollowedEvents

const watch = (name: string, headers: Record<string, string> = {}) =>
  EventReader.at({ socketPath: join(mesh.state(name), 'control.sock'), path: '/api/v1/events', headers })
const engineer = (...args: string[]) => mesh.ropewalk('engineer', args, { timeoutMs: 120_000 })
const refused = async (...args: string[]) => {
  const { code, stderr } = await mesh.ropewalk('engineer', args, { mayFail: true, timeoutMs: 60_000 })
  return [code, /\[([a-z-]+)\]/.exec(stderr)?.[1]]
}
const cluster = async () => (await mesh.json<{ cluster: ClusterView }>('engineer', ['cluster', 'show', 'one'])).cluster
const access = async (): Promise<{ environment: Record<string, string> }> =>
  JSON.parse((await engineer('cluster', 'env', 'one', '-o', 'json')).stdout)
/** The dashboard's port on the head. Which block a lease gets depends on what listens there, the peers' own ports too. */
const dashboardPort = async () => Number(new URL((await access()).environment.RAY_ADDRESS ?? '').port)
const addressOf = async (name: string) =>
  (await cluster()).workers.find((worker) => worker.name === name)?.address ?? ''

/** Which of these TCP ports take a connection from there. */
const scan = async (from: string, address: string, ports: readonly string[]) =>
  (await mesh.node(from).exec('python3', [join(PROGRAMS, 'scan.py'), address, ...ports])).stdout
    .split('\n')
    .filter(Boolean)

/** Processes, rules, control groups and folders of leases on a worker: what must be as before when they are over. */
async function tracesOn(name: string): Promise<string> {
  const look = `ps -eo args= | grep -E 'ray|raylet|bwrap|keeper' | grep -v grep | sort; nft list tables | grep -v ropewalk-trial; ls /dev/shm`
  const { stdout } = await mesh.node(name).exec('sh', ['-c', look], { mayFail: true })
  const left = await readdir(join(mesh.state(name), 'leases')).catch(() => [])
  return `${stdout}${left.join(' ')}`
}

describe.skipIf(runtime === undefined)('a cluster of three workers behind NAT', () => {
  beforeAll(async () => {
    mesh = await openHiringWorld()
    before = await Promise.all(WORKERS.map(tracesOn))
  }, 120_000)

  afterAll(async () => {
    told?.[Symbol.dispose]()
    toldByHead?.[Symbol.dispose]()
    await mesh?.[Symbol.asyncDispose]()
  }, 60_000)

  test('shows what can be hired, and hires nobody who does not fit', async () => {
    const offered = await until(30_000, 'three offers', async () => {
      const { devices } = await mesh.json<{ devices: DeviceView[] }>('engineer', ['devices'])
      return devices.length === 3 ? devices : null
    })
    expect(offered.map(({ name }) => name).toSorted()).toEqual([...WORKERS])
    expect(await refused('cluster', 'create', 'one', '--workers', '4')).toEqual([1, 'runtime-failed'])
    expect(await refused('cluster', 'create', 'one', '--on', 'relay')).toEqual([1, 'runtime-failed'])
    expect(await refused('cluster', 'create', 'one')).toEqual([2, 'bad-usage'])
    const { code, stderr } = await mesh.ropewalk(HEAD, ['cluster', 'create', 'one', '--workers', '1'], {
      mayFail: true,
    })
    expect([code, stderr]).toEqual([5, expect.stringContaining('[missing-right]')])
  }, 60_000)

  test('can be watched from before it is there', async () => {
    told = await FollowedEvents.open(await watch('engineer'))
    toldByHead = await FollowedEvents.open(await watch(HEAD))
    expect(told.first).toMatchObject({ clusters: [], leases: [], jobs: [], unasked: [] })
  })

  test('is there within 30 s, every node alive in Ray', async () => {
    const startedAt = performance.now()
    const words = ['--on', WORKERS.join(','), '--cpus', '1', '--memory', '3GiB', '--for', '30m']
    await engineer('cluster', 'create', 'one', ...words)
    const ms = performance.now() - startedAt
    console.log(`three nodes were alive after ${(ms / 1_000).toFixed(1)} s`)
    expect(ms).toBeLessThan(CREATE_MS)
    const { state, workers } = await cluster()
    expect(state).toBe('running')
    expect(workers.map(({ name, role, state: its }) => [name, role, its])).toEqual([
      [HEAD, 'head', 'running'],
      [OTHER, 'worker', 'running'],
      [THIRD, 'worker', 'running'],
    ])
    expect(new Set(workers.map(({ rayNode }) => rayNode)).size).toBe(3)
    expect(await refused('cluster', 'create', 'one', '--workers', '1')).toEqual([1, 'conflict'])
    expect(await refused('cluster', 'create', 'two', '--on', HEAD, '--cpus', '2')).toEqual([1, 'runtime-failed'])
  }, 120_000)

  test('serves Ray’s own command line, and moves a large object between nodes', async () => {
    const { environment } = await access()
    const address = await addressOf(HEAD)
    const ray = (...args: string[]) =>
      mesh.node(OTHER).exec(`${runtime}/bin/python`, ['-m', 'ray.scripts.scripts', ...args], {
        env: { ...process.env, ...environment },
        timeoutMs: 120_000,
      })
    const listed = await ray('list', 'nodes', '--format', 'json')
    expect(JSON.parse(listed.stdout)).toHaveLength(3)
    const { stdout } = await ray('job', 'submit', '--working-dir', PROGRAMS, '--', 'python', 'transfer.py')
    const moved = JSON.parse(/^\{.*\}$/m.exec(stdout)?.[0] ?? '{}') as { gbitPerSecond: number; bytes: number }
    const port = (await dashboardPort()) + 8 // in the block, and nobody's
    const link = await iperf({ from: mesh.node(OTHER), to: mesh.node(HEAD), address, port, seconds: 3 })
    // told, not judged: beside other load it is Ray's share of the cores that decides
    const share = moved.gbitPerSecond / link.gbitPerSecond
    console.log(
      `200 MB at ${moved.gbitPerSecond.toFixed(2)} Gbit/s, iperf3 ${link.gbitPerSecond.toFixed(2)}: ${share.toFixed(2)}`,
    )
    expect(moved.bytes).toBe(200_000_000)
  }, 180_000)

  test('runs a job of the hirer’s laptop on its nodes, and ends as the job ends', async () => {
    const words = ['--working-dir', PROGRAMS, '--', 'python', 'where.py', 'a b', '7']
    const submitted = await mesh.ropewalk('engineer', ['job', 'submit', ...words], { mayFail: true, timeoutMs: 60_000 })
    expect([submitted.code, submitted.stdout]).toEqual([7, expect.stringMatching(/^3 nodes, 'a b'$/m)])
    const { jobs } = await mesh.json<{ jobs: Job[] }>('engineer', ['job', 'list'])
    const [job] = jobs.filter(({ entrypoint }) => entrypoint.startsWith('python where.py'))
    expect(job).toMatchObject({ status: 'failed', exitCode: 7 })
    const again = await mesh.ropewalk('engineer', ['job', 'logs', '-f', job?.id ?? ''], { mayFail: true })
    expect([again.code, again.stdout]).toEqual([7, submitted.stdout])
    const script = [join(PROGRAMS, 'by-curl.sh'), join(mesh.state('engineer'), 'control.sock'), PROGRAMS, 'one']
    const byCurl = await mesh.node('engineer').exec('sh', script, { timeoutMs: 60_000 })
    expect(byCurl.stdout).toMatch(/^3 nodes, 'curl'$/m)
    expect(byCurl.stdout).toMatch(/"status":"succeeded"/)
    const { stdout } = await engineer('job', 'submit', '--no-wait', '--', 'sleep', '600')
    const stopped = await engineer('job', 'stop', stdout.trim())
    expect(stopped.stdout).toBe(`${stdout.trim()} is stopped.\n`)
    expect((await engineer('job', 'list')).stdout).toMatch(/^raysubmit_\w+ +one +stopped .* sleep 600$/m)
  }, 90_000)

  test('computes the first of the examples on all nodes, and lets them ask each other over HTTP', async () => {
    const words = ['--working-dir', join(checkout, 'examples'), '--', 'python', 'batch_inference.py']
    const { stdout } = await mesh.ropewalk('engineer', ['job', 'submit', ...words], { timeoutMs: 60_000 })
    const { nodes, served } = exampleResult(stdout)
    expect(Object.keys(nodes).toSorted()).toEqual((await cluster()).workers.map(({ rayNode }) => rayNode).toSorted())
    expect(served).toHaveLength(3)
  }, 90_000)

  test('lets nodes meet on ports that they choose themselves, and nobody else', async () => {
    const job = mesh.spawn('engineer', ['job', 'submit', '--working-dir', PROGRAMS, '--', 'python', 'rendezvous.py'])
    await job.says(/met on \S+ after/)
    const [, address = '', port = '', seconds] = /met on (\S+):(\d+) after (\S+) s/.exec(job.output()) ?? []
    console.log(`two nodes met on a port of their own after ${seconds} s`)
    expect(Number(port)).toBeGreaterThan(23_000)
    expect(await scan('relay', address, [port])).toEqual([])
    const { jobs } = await mesh.json<{ jobs: Job[] }>('engineer', ['job', 'list'])
    await engineer('job', 'stop', jobs.find(({ entrypoint }) => entrypoint.includes('rendezvous'))?.id ?? '')
    expect((await job.ended).code).not.toBe(0)
  }, 60_000)

  test.skipIf(!hasChromium())(
    'opens Ray’s dashboard in a browser of the laptop, and to nobody else there',
    async () => {
      const opened = mesh.spawn('engineer', ['cluster', 'open', 'dashboard', '--no-browser'])
      const [url, origin = ''] = await opened.says(/^(http:\/\/127\.0\.0\.1:\d+)\/\S+$/m)
      const askedAt = performance.now()
      const text = await pageText(mesh.node('engineer'), `${url}#/cluster`, mesh.home('engineer'))
      console.log(`the dashboard came to rest after ${((performance.now() - askedAt) / 1_000).toFixed(1)} s`)
      expect(text).toContain('ALIVE x 3')
      const { environment } = await access()
      expect(text + opened.output()).not.toContain(environment.RAY_AUTH_TOKEN)
      const curl = async (...words: string[]) =>
        (await mesh.node('engineer').exec('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', ...words])).stdout
      expect(await curl(url)).toBe('200')
      expect(await curl(`${origin}/`)).toBe('404')
      expect(await curl(`${origin}/api/v0/nodes`)).toBe('404')
      expect(await curl('-H', 'Host: rebound.example', url)).toBe('421')
      await opened.stop()
      const served = mesh.node(HEAD).spawn('python3', ['-um', 'http.server', '-b', '127.0.0.1', '8888'])
      await served.says(/Serving HTTP/)
      await mesh.ropewalk(HEAD, ['expose', 'jupyter=8888', '--http'])
      const jupyter = mesh.spawn('engineer', ['cluster', 'open', 'jupyter', 'one', '--port', '18888'])
      await jupyter.says(/until Ctrl-C/)
      expect(await curl('--retry', '5', '--retry-all-errors', 'http://127.0.0.1:18888/')).toBe('200')
      await Promise.all([jupyter.stop(), served.stop(), mesh.ropewalk(HEAD, ['unexpose', 'jupyter'])])
      expect(await refused('cluster', 'open', 'dashboard', 'none')).toEqual([1, 'not-found'])
      expect(await refused('cluster', 'open', 'door')).toEqual([2, 'bad-usage'])
    },
    120_000,
  )

  test.skipIf(!hasJupyter)(
    'starts a Jupyter on its head that runs a cell, and ends it',
    async () => {
      const opened = mesh.spawn('engineer', ['cluster', 'open', 'jupyter', '--no-browser'])
      const [, base = '', token = ''] = await opened.says(/^(http:\S+)\?token=(\w+)$/m, 60_000)
      const code = 'import os, platform; print(platform.node(), os.environ["ROPEWALK_ADDRESS"])'
      const ran = await mesh
        .node('engineer')
        .exec(process.execPath, [RUN_CELL, base, token, code], { timeoutMs: 60_000 })
      expect(ran.stdout.trim()).toBe(`${HEAD} ${await addressOf(HEAD)}`)
      const { stdout: seen } = await mesh.node(HEAD).exec('ps', ['-eo', 'args'])
      expect(seen).toContain('jupyter')
      expect(seen).not.toContain(token)
      await opened.stop(30_000)
      const { jobs } = await mesh.json<{ jobs: Job[] }>('engineer', ['job', 'list'])
      expect(jobs.find(({ metadata }) => metadata.job_name === 'jupyter')?.status).toBe('stopped')
    },
    150_000,
  )

  test('refuses outsiders on the LAN, and members that are not in it, on every port that Ray listens on', async () => {
    await engineer('cluster', 'remove-worker', 'one', THIRD)
    const { stdout } = await mesh.node(HEAD).exec('ss', ['-Hltnp'])
    // all that listens there but the peer itself
    const others = stdout.split('\n').filter((line) => !line.includes('"MainThread"'))
    const ports = [...new Set(others.flatMap((line) => /:(\d+)\s/.exec(line)?.[1] ?? []))]
    expect(ports.length).toBeGreaterThan(8)
    const own = mesh.node(HEAD).address
    const inMesh = await addressOf(HEAD)
    expect((await scan(OTHER, inMesh, ports)).length).toBeGreaterThan(4)
    expect(await scan('home-a', own, ports)).toEqual([])
    expect(await scan(THIRD, inMesh, ports)).toEqual([])
    expect(await scan('relay', inMesh, ports)).toEqual([])
  }, 60_000)

  test('lets the hirer’s laptop in by a stream, and nobody else', async () => {
    const { head } = JSON.parse((await engineer('cluster', 'env', 'one', '-o', 'json')).stdout) as ClusterAccess
    expect(head ?? null).toBeNull() // the environment alone is printed
    const port = String(await dashboardPort())
    const forward = mesh.spawn('engineer', ['forward', HEAD, port])
    await forward.says(new RegExp(`127\\.0\\.0\\.1:${port}`))
    const { environment } = await access()
    const bearer = `Authorization: Bearer ${environment.RAY_AUTH_TOKEN}`
    const url = `http://127.0.0.1:${port}/api/version`
    const answer = await mesh.node('engineer').exec('curl', ['-s', '-H', bearer, url])
    expect(JSON.parse(answer.stdout)).toMatchObject({ ray_version: expect.any(String) })
    const without = await mesh
      .node('engineer')
      .exec('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', `http://127.0.0.1:${port}/api/jobs/`])
    expect(without.stdout).toBe('401')
    await forward.stop()
    const other = await mesh.ropewalk(THIRD, ['ssh-proxy', HEAD, port], { mayFail: true })
    expect([other.code, other.stderr]).toEqual([5, expect.stringContaining('[not-exposed]')])
  }, 60_000)

  test('is hired for longer, and takes a worker in again', async () => {
    await engineer('cluster', 'extend', 'one', '--for', '3h')
    expect((await cluster()).notAfterMs - Date.now()).toBeGreaterThan(2 * 3_600_000)
    await engineer('cluster', 'add-worker', 'one')
    expect((await cluster()).workers.map(({ name, state }) => [name, state])).toEqual(
      WORKERS.map((name) => [name, 'running']),
    )
  }, 60_000)

  test('has its jobs left out while its head is silent, and those of another cluster are listed all the same', async () => {
    const words = ['--on', OTHER, '--cpus', '1', '--memory', '2GiB', '--for', '10m']
    await engineer('cluster', 'create', 'two', ...words)
    await engineer('job', 'submit', '--cluster', 'two', '--', 'echo', 'of the other')
    const listed = () => mesh.json<{ jobs: Job[]; unasked: Unasked[] }>('engineer', ['job', 'list'])
    await mesh.world.link(HEAD).silence()
    const askedAt = performance.now()
    const { jobs, unasked } = await listed()
    const seconds = (performance.now() - askedAt) / 1_000
    console.log(`a silent head was given up after ${seconds.toFixed(1)} s`)
    expect(seconds).toBeLessThan(15)
    expect(jobs.map(({ cluster: its, entrypoint }) => [its, entrypoint])).toEqual([['two', "echo 'of the other'"]])
    expect(unasked).toMatchObject([{ cluster: 'one', message: expect.stringMatching(/./) }])
    expect((await refused('job', 'status', 'raysubmit_none'))[0]).toBe(4)
    await mesh.world.link(HEAD).restore()
    await until(60_000, 'the head to answer', async () => ((await listed()).unasked.length === 0 ? true : null))
    await engineer('cluster', 'delete', 'two')
  }, 150_000)

  test('told of all that as it happened, to whoever watched', async () => {
    const states = told.clusters().map(({ state }) => state)
    expect(states[0]).toBe('creating')
    expect(states).toContain('running')
    const sizes = told.clusters().map(({ workers }) => workers.filter(({ state }) => state === 'running').length)
    expect(sizes).toContain(3)
    expect(sizes.indexOf(2, sizes.indexOf(3))).toBeGreaterThan(0)
    const texts = told.clusters().flatMap(({ events }) => events.map(({ text }) => text))
    for (const text of [/^worker-c was given back$/, /^is hired until /, /^worker-b is alive$/])
      expect(texts).toContainEqual(expect.stringMatching(text))
    expect(told.job(/where\.py 'a b'/).at(-1)).toBe('failed')
    expect(told.job(/^sleep 600$/).at(-1)).toBe('stopped')
    const again = await watch('engineer', { 'last-event-id': `${told.first.epoch}.${told.first.sequence}` })
    expect(await again.next()).toMatchObject({ event: 'delta', id: `${told.first.epoch}.${told.first.sequence + 1}` })
    again.close()
    expect(toldByHead.deltas.flatMap(({ leases }) => leases.set)).toContainEqual(
      expect.objectContaining({ cluster: 'one', hirer: 'engineer', state: 'running' }),
    )
  })

  test('leaves nothing behind when it is given back', async () => {
    await engineer('cluster', 'delete', 'one')
    expect(await refused('cluster', 'show', 'one')).toEqual([1, 'not-found'])
    expect(await Promise.all(WORKERS.map(tracesOn))).toEqual(before)
    const gone = await until(
      10_000,
      'the end to be told',
      async () => told.deltas.find(({ clusters }) => clusters.removed.includes('one')) ?? null,
    )
    expect(gone.jobs.removed).toContainEqual(expect.stringMatching(/^one\/raysubmit_/))
    await until(
      10_000,
      'the end of the lease',
      async () => toldByHead.deltas.some(({ leases }) => leases.set.some(({ state }) => state === 'over')) || null,
    )
  }, 60_000)
})
