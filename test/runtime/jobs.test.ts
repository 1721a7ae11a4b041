import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer, json } from 'node:stream/consumers'
import { promisify } from 'node:util'
import type { peerApi } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { createLogger } from '@ropewalk/shared/logger'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLocalServer, type Handlers } from '../../peer/api/index.ts'
import { createLocalClient } from '../../peer/client/index.ts'
import { jobBytes, jobHandlers } from '../../peer/job-handlers.ts'
import type { ClusterJobs } from '../../peer/runtime/index.ts'
import {
  createJobs,
  type DialHead,
  hasEnded,
  type Jobs,
  type PackageBytes,
  sendWorkingDir,
  shellCommand,
} from '../../peer/runtime/jobs/index.ts'
import { createWatchers } from '../../peer/watchers/index.ts'
import { DescribedApi, type Document } from '../../relay/described-api/index.ts'
import { until } from '../lab/index.ts'
import { type RayNode, startRay } from './ray.ts'
import { ensureRay } from './ray-runtime.ts'

const runtime = ensureRay()
const FIRST_PORT = 22_000

const DESCRIBED = ['/jobs', '/jobs/{job}', '/jobs/{job}/logs', '/jobs/{job}/stop', '/packages/{package}'].map(
  (path) => `/api/v1${path}`,
)

/** What a peer says of its API. */
async function documentAt(socketPath: string): Promise<Document> {
  const asked = request({ socketPath, path: '/api/v1/openapi.json', agent: false }).end()
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  return (await json(answer)) as Document
}

function raise(error: Error): never {
  throw error
}

describe.skipIf(runtime === undefined)("jobs through Ray's job API", { timeout: 60_000 }, () => {
  const signal = AbortSignal.timeout(300_000)
  let ray: RayNode
  let folder: string
  const logger = createLogger({ level: 'silent', destination: process.stderr })
  const jobsBy = (dial: DialHead, token = ray.token): Jobs =>
    createJobs({ dashboardPort: ray.port('dashboard'), token }, { dial, logger })
  const direct: DialHead = async (port) => connect(port, ray.address)
  const logOf = async (jobs: Jobs, id: string, follow = true, offset = 0): Promise<Buffer> => {
    const chunks: Uint8Array[] = []
    for await (const chunk of jobs.logs(id, { follow, offset, signal })) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rw-jobs-'))
    ray = await startRay({ runtime: runtime ?? '', ports: FIRST_PORT })
  }, 90_000)
  afterAll(async () => {
    await ray?.cut()
    await rm(folder, { recursive: true, force: true })
  })

  test('the working directory, arguments, environment and exit code arrive as they were given', async () => {
    const tree = join(folder, 'tree')
    await mkdir(join(tree, 'empty', 'inner'), { recursive: true })
    await mkdir(join(tree, 'data'))
    await writeFile(join(tree, '.gitignore'), 'data/*\n!data/keep\n')
    await writeFile(join(tree, 'data', 'large'), 'x')
    await writeFile(join(tree, 'data', 'keep'), 'kept')
    await writeFile(join(tree, 'tool'), '#!/bin/sh\necho tool runs\n')
    await chmod(join(tree, 'tool'), 0o755)
    const program = `import json,os,subprocess,sys
files = sorted(os.path.join(d, f) for d, _, fs in os.walk(".") for f in fs)
tool = subprocess.run(["./tool"], capture_output=True, text=True).stdout
print("SEEN" + json.dumps([sys.argv[1:], os.environ["X"], files, os.path.isdir("empty/inner"), tool]))
sys.exit(7)`
    await writeFile(join(tree, 'main.py'), program)
    const jobs = jobsBy(direct)
    const words = ['a b', "it's", '$HOME `id` "x"', '', '*', 'é\n', '--x=1', '~']
    const sent: number[][] = []
    const onProgress = (bytes: number, total: number): void => void sent.push([bytes, total])
    const wanted = {
      entrypoint: shellCommand(['python', 'main.py', ...words]),
      package: await sendWorkingDir(tree, jobs, { signal, logger, onProgress }),
      env: { X: 'ü = "y"' },
      name: 'as given',
    }
    const { id } = await jobs.submit(wanted, signal)
    const log = (await logOf(jobs, id)).toString('utf8')
    const seen = JSON.parse(/^SEEN(.*)$/m.exec(log)?.[1] ?? 'null')
    expect(seen).toEqual([
      words,
      'ü = "y"',
      ['./.gitignore', './data/keep', './main.py', './tool'],
      true,
      'tool runs\n',
    ])
    expect(await jobs.job(id, signal)).toMatchObject({
      id,
      status: 'failed',
      exitCode: 7,
      entrypoint: wanted.entrypoint,
      metadata: { job_name: 'as given' },
    })
    expect(sent.at(-1)?.[0]).toBe(sent.at(-1)?.[1])
    expect((await jobs.list(signal)).map((job) => job.id)).toContain(id)

    const sentOnce = sent.length
    expect(await sendWorkingDir(tree, jobs, { signal, logger, onProgress })).toBe(wanted.package)
    expect(sent.length, 'a package that is there is not sent again').toBe(sentOnce)
  })

  test('a log that is followed over connections that break is the log, no byte twice, none lost', async () => {
    const jobs = jobsBy(direct)
    const program = `import os,time
for i in range(400):
    os.write(1, b"line %d \\xff\\r\\n" % i + b"." * (i % 97)); time.sleep(0.01)`
    const { id } = await jobs.submit({ entrypoint: shellCommand(['python', '-uc', program]) }, signal)
    let broken = 0
    const breaking: DialHead = async (port) => {
      const socket = connect(port, ray.address)
      let left = 3_000 + broken * 1_500
      socket.on('data', (chunk) => {
        left -= chunk.length
        if (left > 0 || socket.destroyed) return
        broken += 1
        socket.resetAndDestroy()
      })
      return socket
    }
    const followed = await logOf(jobsBy(breaking), id)
    expect(hasEnded(await jobs.job(id, signal))).toBe(true)
    const whole = await logOf(jobs, id, false)
    expect(whole.toString('latin1')).toContain('line 399 \xff\r\n')
    expect(followed.equals(whole)).toBe(true)
    expect(broken).toBeGreaterThan(3)
    expect((await logOf(jobs, id, false, 1_000)).equals(whole.subarray(1_000))).toBe(true)
    expect((await logOf(jobs, id, true, whole.length + 5)).length).toBe(0)
  })

  test('a job that is stopped ends, and so does whoever follows it; stopping it again is nothing', async () => {
    const jobs = jobsBy(direct)
    const { id } = await jobs.submit({ entrypoint: "python -uc 'import time; print(1); time.sleep(600)'" }, signal)
    const following = logOf(jobs, id)
    await until(20_000, 'the job to run', async () => (await jobs.job(id, signal)).status === 'running' || null)
    await jobs.stop(id, signal)
    await following
    expect(await jobs.job(id, signal)).toMatchObject({ status: 'stopped' })
    await jobs.stop(id, signal)
  })

  test('a submission whose answer is lost is found again, and is there once', async () => {
    let calls = 0
    const losing: DialHead = async (port) => {
      const socket = connect(port, ray.address)
      calls += 1
      if (calls === 1) socket.on('data', () => socket.resetAndDestroy())
      return socket
    }
    const { id } = await jobsBy(losing).submit({ entrypoint: 'true', name: 'lost answer' }, signal)
    const found = (await jobsBy(direct).list(signal)).filter((job) => job.metadata.job_name === 'lost answer')
    expect(found.map((job) => job.id)).toEqual([id])
  })

  test('a foreign token and an unknown job are told as such, and a job waits for GPUs that nobody has', async () => {
    await expect(jobsBy(direct, 'x'.repeat(32)).list(signal)).rejects.toMatchObject({ code: 'unauthenticated' })
    await expect(jobsBy(direct).job('raysubmit_none', signal)).rejects.toMatchObject({ code: 'not-found' })
    await expect(jobsBy(direct).job('../version', signal)).rejects.toMatchObject({ code: 'bad-input' })
    const jobs = jobsBy(direct)
    const { id } = await jobs.submit({ entrypoint: 'true', gpus: 8 }, signal)
    expect(await jobs.job(id, signal)).toMatchObject({ status: 'pending', exitCode: null })
    await jobs.stop(id, signal)
  })

  test('the API of a peer lists, follows, submits and stops them, beside a cluster whose head is gone', async () => {
    const { promise: never } = Promise.withResolvers<never>()
    const gone = createJobs({ dashboardPort: 1, token: 'x', timeoutMs: 1_000 }, { dial: () => never, logger })
    const known: Record<string, Jobs> = { alive: jobsBy(direct), gone }
    const clusterJobs: ClusterJobs = {
      names: () => Object.keys(known),
      of: (name) => known[name] ?? raise(new RopewalkError('not-found', name)),
      log: (name, id, options) => clusterJobs.of(name).logs(id, options),
    }
    await using server = createLocalServer(
      { doors: [{ path: join(folder, 'control.sock'), mode: 0o600, scopes: ['read', 'write'] }] },
      {
        handlers: jobHandlers(clusterJobs) as Handlers<typeof peerApi>,
        jobBytes: jobBytes(clusterJobs),
        watchers: createWatchers(
          {},
          { snapshot: () => ({ epoch: 'e', sequence: 0 }), since: () => undefined, onDelta: () => () => undefined },
        ),
        openStream: () => never,
        logger,
      },
    )
    await server.start()
    const local = createLocalClient(join(folder, 'control.sock'))
    const described = new DescribedApi(await documentAt(join(folder, 'control.sock')))
    expect(described.schemaFaults()).toEqual([])
    expect(Object.keys(described.document.paths)).toEqual(expect.arrayContaining(DESCRIBED))
    const store = {
      hasPackage: async (name: string) =>
        (await local.api.package({ params: { package: name }, query: { cluster: 'alive' } })).there,
      putPackage: (name: string, sent: PackageBytes) => local.putPackage({ name, cluster: 'alive', ...sent, signal }),
    }
    await mkdir(join(folder, 'sent'))
    await writeFile(join(folder, 'sent', 'main.py'), 'print("line\\n" * 5)')
    const name = await sendWorkingDir(join(folder, 'sent'), store, { signal, logger })
    expect(await store.hasPackage(name)).toBe(true)
    await expect(local.api.submitJob({ body: { entrypoint: 'true' } })).rejects.toMatchObject({ code: 'bad-input' })
    const body = { cluster: 'alive', entrypoint: 'python main.py', package: name, env: { A: 'b' }, name: 'by HTTP' }
    const { id } = await local.api.submitJob({ body })
    const place = { job: id, cluster: 'alive', follow: false, signal }
    const log = await buffer(local.readLog({ ...place, offset: 0, follow: true }))
    expect(log.toString()).toContain('line\nline\n')
    expect(await buffer(local.readLog({ ...place, offset: 3, limit: 9 }))).toEqual(log.subarray(3, 12))
    await expect(buffer(local.readLog({ ...place, offset: 0, cluster: 'none' }))).rejects.toMatchObject({
      code: 'not-found',
    })

    const first = await local.api.jobs({ query: { limit: 1 } })
    expect(first.jobs).toMatchObject([{ cluster: 'alive', id, status: 'succeeded', metadata: { job_name: 'by HTTP' } }])
    expect(first.unasked).toEqual([{ cluster: 'gone', code: 'timeout', message: expect.any(String) }])
    const second = await local.api.jobs({ query: { limit: 1, cursor: first.nextCursor, cluster: 'alive' } })
    expect(second).toMatchObject({ jobs: [{ cluster: 'alive' }], unasked: [] })
    expect(second.jobs[0]?.id).not.toBe(id)
    await expect(local.api.jobs({ query: { cluster: 'gone' } })).rejects.toMatchObject({ code: 'timeout' })
    expect((await local.api.job({ params: { job: id } })).job.cluster).toBe('alive')
    await expect(local.api.job({ params: { job: 'raysubmit_none' } })).rejects.toMatchObject({
      code: 'timeout',
      message: expect.stringMatching(/^The cluster gone cannot be asked/),
    })
    known.twin = known.alive ?? gone
    await expect(local.api.job({ params: { job: id } })).rejects.toMatchObject({ code: 'conflict' })
    delete known.twin
    delete known.gone
    await expect(local.api.job({ params: { job: 'raysubmit_none' } })).rejects.toMatchObject({ code: 'not-found' })

    const long = await local.api.submitJob({ body: { entrypoint: 'sleep 600' } })
    await local.api.stopJob({ params: { job: long.id } })
    const stopped = await until(20_000, 'the job to stop', async () => {
      const { job } = await local.api.job({ params: { job: long.id } })
      return hasEnded(job) ? job : null
    })
    expect(stopped.status).toBe('stopped')
  })

  test("Ray's own command line sees the same jobs", async () => {
    const jobs = jobsBy(direct)
    const { id } = await jobs.submit({ entrypoint: 'echo from ropewalk' }, signal)
    await logOf(jobs, id)
    const address = `http://${ray.address}:${ray.port('dashboard')}`
    const { stdout } = await promisify(execFile)('ray', ['job', 'logs', '--address', address, id], { env: ray.env })
    expect(stdout).toContain('from ropewalk')
  })
})
