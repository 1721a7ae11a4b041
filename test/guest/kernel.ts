import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { rivalsFolder } from '../wireguard/index.ts'

const run = promisify(execFile)

/** Debian's Linux for virtual machines, unpacked and not installed: it must not change what this machine starts with. */
export interface GuestKernel {
  /** As `uname -r` says it. */
  readonly release: string
  readonly image: string
  /** The folder of its modules. */
  readonly modules: string
}

const NAME = /^linux-image-(\d[\w.+-]*-cloud-amd64)$/
/** How many of the newest are tried: lists can be older than what the archive still has. */
const TRIES = 3
const DOWNLOAD_TIMEOUT_MS = 300_000
const LIST_BYTES = 2 ** 24

/** Where kernels and images are kept. */
export const guestFolder = join(dirname(rivalsFolder), 'guest')

/** The one that is kept here, else the newest that apt knows, fetched once. Throws when there is none. */
export async function guestKernel(): Promise<GuestKernel> {
  await mkdir(guestFolder, { recursive: true })
  const kept = (await readdir(guestFolder)).filter((name) => NAME.test(name)).sort(byVersion)
  const found = kept.at(-1) ?? (await fetchNewest())
  const release = NAME.exec(found)?.[1] ?? ''
  const root = join(guestFolder, found)
  const folders = [join(root, 'lib/modules', release), join(root, 'usr/lib/modules', release)]
  const there = await Promise.all(
    folders.map((each) =>
      access(each)
        .then(() => [each])
        .catch(() => []),
    ),
  )
  const [modules] = there.flat()
  if (modules === undefined) throw new Error(`${found} has no modules`)
  return { release, image: join(root, 'boot', `vmlinuz-${release}`), modules }
}

async function fetchNewest(): Promise<string> {
  let names = await namesKnown()
  if (names.length === 0 && process.getuid?.() === 0) {
    await run('apt-get', ['-q', 'update'], { timeout: DOWNLOAD_TIMEOUT_MS })
    names = await namesKnown()
  }
  let failure: unknown = new Error('apt knows no linux-image-*-cloud-amd64; try: apt-get update')
  for (const name of names.sort(byVersion).reverse().slice(0, TRIES)) {
    try {
      await fetchOne(name)
      return name
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

async function namesKnown(): Promise<string[]> {
  const { stdout } = await run('apt-cache', ['pkgnames', 'linux-image-'], { maxBuffer: LIST_BYTES })
  return stdout.split('\n').filter((name) => NAME.test(name))
}

async function fetchOne(name: string): Promise<void> {
  const scratch = await mkdtemp(join(guestFolder, 'fetch-'))
  try {
    await run('apt-get', ['-q', 'download', name], { cwd: scratch, timeout: DOWNLOAD_TIMEOUT_MS })
    const [file = ''] = (await readdir(scratch)).filter((each) => each.endsWith('.deb'))
    await run('dpkg-deb', ['-x', join(scratch, file), join(scratch, 'root')])
    await rename(join(scratch, 'root'), join(guestFolder, name))
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

function byVersion(one: string, other: string): number {
  return one.localeCompare(other, 'en', { numeric: true })
}
