import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createLogger } from '@ropewalk/shared/logger'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createJobs, type DialHead, hasEnded, type Jobs, shellCommand } from '../../peer/runtime/jobs/index.ts'
import { until } from '../lab/index.ts'
import { type RayNode, startRay } from './ray.ts'
import { ensureRay } from './ray-runtime.ts'

const runtime = ensureRay()
const FIRST_PORT = 29_000

describe.skipIf(runtime === undefined)("jobs through Ray's job API", { timeout: 60_000 }, () => {
  const signal = AbortSignal.timeout(300_000)
  let ray: RayNode
  let folder: string
  const jobsBy = (dial: DialHead, token = ray.token): Jobs =>
    createJobs(
      { dashboardPort: ray.port('dashboard'), token },
      { dial, logger: createLogger({ level: 'silent', destination: process.stderr }) },
    )
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
    const wanted = {
      entrypoint: shellCommand(['python', 'main.py', ...words]),
      workingDir: tree,
      env: { X: 'ü = "y"' },
      name: 'as given',
    }
    const sent: number[][] = []
    const { id } = await jobs.submit(wanted, { signal, onProgress: (bytes, total) => void sent.push([bytes, total]) })
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

    const again: number[][] = []
    const second = await jobs.submit(wanted, { signal, onProgress: (...bytes) => void again.push(bytes) })
    expect((await logOf(jobs, second.id)).toString('utf8')).toContain('SEEN')
    expect(again, 'a package that is there is not sent again').toEqual([])
  })

  test('a log that is followed over connections that break is the log, no byte twice, none lost', async () => {
    const jobs = jobsBy(direct)
    const program = `import os,time
for i in range(400):
    os.write(1, b"line %d \\xff\\r\\n" % i + b"." * (i % 97)); time.sleep(0.01)`
    const { id } = await jobs.submit({ entrypoint: shellCommand(['python', '-uc', program]) }, { signal })
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
    const { id } = await jobs.submit({ entrypoint: "python -uc 'import time; print(1); time.sleep(600)'" }, { signal })
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
    const { id } = await jobsBy(losing).submit({ entrypoint: 'true', name: 'lost answer' }, { signal })
    const found = (await jobsBy(direct).list(signal)).filter((job) => job.metadata.job_name === 'lost answer')
    expect(found.map((job) => job.id)).toEqual([id])
  })

  test('a foreign token and an unknown job are told as such, and a job waits for GPUs that nobody has', async () => {
    await expect(jobsBy(direct, 'x'.repeat(32)).list(signal)).rejects.toMatchObject({ code: 'unauthenticated' })
    await expect(jobsBy(direct).job('raysubmit_none', signal)).rejects.toMatchObject({ code: 'not-found' })
    await expect(jobsBy(direct).job('../version', signal)).rejects.toMatchObject({ code: 'bad-input' })
    const jobs = jobsBy(direct)
    const { id } = await jobs.submit({ entrypoint: 'true', gpus: 8 }, { signal })
    expect(await jobs.job(id, signal)).toMatchObject({ status: 'pending', exitCode: null })
    await jobs.stop(id, signal)
  })

  test("Ray's own command line sees the same jobs", async () => {
    const jobs = jobsBy(direct)
    const { id } = await jobs.submit({ entrypoint: 'echo from ropewalk' }, { signal })
    await logOf(jobs, id)
    const address = `http://${ray.address}:${ray.port('dashboard')}`
    const { stdout } = await promisify(execFile)('ray', ['job', 'logs', '--address', address, id], { env: ray.env })
    expect(stdout).toContain('from ropewalk')
  })
})
