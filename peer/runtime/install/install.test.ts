import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { link, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runProgram } from '../../run-program.ts'
import { findRuntime, type InstallOptions, installRuntime, type Progress } from './index.ts'
import { ENVIRONMENT } from './stamp.ts'
import { buildRay, onlyFrom } from './test-wheel.ts'

let root: string
let requirements: string

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropewalk-install-'))
  requirements = await buildRay(join(root, 'wheels'))
})

afterAll(async () => {
  await rm(root, { recursive: true, force: true })
})

/** Installs the small packages; what pip does is real. */
function install(name: string, options: Partial<InstallOptions> = {}, signal?: AbortSignal, seen: Progress[] = []) {
  return installRuntime(
    { folder: join(root, name), requirements, ...options },
    {
      env: onlyFrom(join(root, 'wheels')),
      userId: process.getuid?.() ?? 0,
      signal,
      progress: (progress) => seen.push(progress),
    },
  )
}

const environments = async (name: string) => (await readdir(join(root, name))).filter((one) => ENVIRONMENT.test(one))

test('two installations at once: one makes it, the other waits and finds it; it works and everybody can read it', async () => {
  const seen: Progress[] = []
  const both = await Promise.all([install('twice', {}, undefined, seen), install('twice', {}, undefined, seen)])
  expect(both.map(({ changed }) => changed).sort()).toEqual([false, true])
  const steps = [...new Set(seen.map(({ step }) => step))]
  expect(steps.toSorted()).toEqual(['check', 'environment', 'fetch', 'unpack', 'wait'])
  expect(seen.filter(({ step }) => step === 'environment')).toHaveLength(1)

  const runtime = await findRuntime(join(root, 'twice'))
  expect(runtime).toMatchObject({ rayVersion: '0.1.0', folder: both[0].runtime.folder })
  if (runtime === undefined) return
  const script = 'import ray, strand; print(ray.__file__)'
  const { stdout } = await runProgram(runtime.python, ['-I', '-c', script], { timeoutMs: 10_000 })
  expect(stdout.startsWith(runtime.folder)).toBe(true)
  expect((await stat(stdout.trim())).mode & 0o004).toBe(0o004)
  expect(runtime.sizeBytes).toBeGreaterThan(1_000_000)
  expect(await readdir(runtime.folder)).not.toContain('tmp')
  expect(await environments('twice')).toHaveLength(1)
}, 120_000)

test('a repair leaves what a process uses, and removes it when nothing does; what an earlier try left goes too', async () => {
  const left = join(root, 'repair', 'ray-0.1.0-00000000')
  const foreign = join(root, 'repair', 'ray-of-light')
  for (const folder of [join(root, 'repair'), left, foreign]) await mkdir(folder)
  const { runtime: first } = await install('repair')
  expect(await readdir(join(root, 'repair'))).not.toContain('ray-0.1.0-00000000')

  const map =
    'import mmap, sys; f = open(sys.argv[1]); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); print(1, flush=True); input()'
  // under another path, as a lease sees it
  const elsewhere = join(root, 'elsewhere', 'pyvenv.cfg')
  await mkdir(join(root, 'elsewhere'))
  await link(join(first.folder, 'pyvenv.cfg'), elsewhere)
  const user = spawn(first.python, ['-c', map, elsewhere], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await Promise.race([once(user.stdout, 'data'), once(user, 'exit')])
  const second = await install('repair', { repair: true })
  expect(second).toMatchObject({ changed: true, warnings: [expect.stringContaining('still used')] })
  expect(await environments('repair')).toHaveLength(2)
  user.stdin.end('\n')
  await once(user, 'exit')

  // damaged: it is found, not believed
  await rm(second.runtime.python)
  expect(await findRuntime(join(root, 'repair'))).toBeUndefined()
  const third = await install('repair')
  expect(third.changed).toBe(true)
  expect(await environments('repair')).toEqual([third.runtime.folder.split('/').at(-1)])
  expect(await readdir(join(root, 'repair'))).toContain('ray-of-light')
}, 180_000)

test('stopped in the middle it ends pip and leaves nothing; where there is no room it does not begin', async () => {
  const stop = new AbortController()
  const seen: Progress[] = []
  const stopped = installRuntime(
    { folder: join(root, 'stopped'), requirements },
    {
      env: onlyFrom(join(root, 'wheels')),
      userId: 1,
      signal: stop.signal,
      progress: (progress) => {
        seen.push(progress)
        if (progress.step === 'fetch') stop.abort()
      },
    },
  )
  await expect(stopped).rejects.toMatchObject({ code: 'aborted' })
  expect(seen.map(({ step }) => step)).not.toContain('check')
  expect((await readdir(join(root, 'stopped'))).toSorted()).toEqual(['install.lock', 'install.log'])
  expect(await findRuntime(join(root, 'stopped'))).toBeUndefined()

  await expect(install('full', { needBytes: 2 ** 60 })).rejects.toMatchObject({ code: 'disk-full' })
  await expect(install('late', {}, AbortSignal.abort())).rejects.toThrow()
  await expect(readdir(join(root, 'late'))).rejects.toThrow()
}, 120_000)

test('a requirements file that pins no Ray is refused', async () => {
  const file = join(root, 'none.txt')
  await writeFile(file, 'strand==1.0 --hash=sha256:00\nray>=2\n# ray==2.0 \\\n')
  await expect(install('none', { requirements: file })).rejects.toMatchObject({ code: 'bad-config' })
})
