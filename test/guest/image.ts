import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { exists } from '../wireguard/index.ts'
import { guestFolder, guestKernel } from './kernel.ts'
import { modulesFor } from './modules.ts'

const run = promisify(execFile)

/** What the guest is started from. */
export interface GuestImage {
  readonly release: string
  readonly kernel: string
  /** The first file system, uncompressed: a processor in software unpacks slowly. */
  readonly initramfs: string
}

/** Copied from this machine with their libraries; all other commands are busybox's. */
const PROGRAMS = ['bash', 'ip', 'iperf3', 'nft', 'ping', 'stdbuf', 'wg', 'wg-quick']
/** What `stdbuf` gives to the programs that it starts. */
const STDBUF = '/usr/libexec/coreutils/libstdbuf.so'
const MODULES = ['virtio_net', 'wireguard', 'nft_ct', 'nft_fib_inet']
const BUILD_TIMEOUT_MS = 60_000

/** Makes the image, or finds the one made of the same kernel and programs before. Throws when something is missing. */
export async function guestImage(): Promise<GuestImage> {
  const kernel = await guestKernel()
  const files = await programFiles(PROGRAMS)
  files.set(STDBUF, STDBUF)
  const scripts = await Promise.all(['init', 'agent'].map((name) => readFile(script(name))))
  const parts = await Promise.all([...files.values(), await where('busybox')].map((file) => readFile(file)))
  const hash = createHash('sha256').update(kernel.release).update(MODULES.join())
  for (const part of [...scripts, ...parts, await readFile(import.meta.filename)]) hash.update(part)
  const initramfs = join(guestFolder, `${hash.digest('hex').slice(0, 32)}.cpio`)
  if (!(await exists(initramfs))) await build(initramfs, files, kernel.modules)
  return { release: kernel.release, kernel: kernel.image, initramfs }
}

/** A file system of a folder, as the kernel takes it, behind one that there is already if `base` is said. */
export async function packInto(file: string, folder: string, base?: string): Promise<void> {
  if (base !== undefined) await copyFile(base, file)
  // Names are relative to the folder; several such archives one behind the other are one file system.
  const command = 'cd "$1" && find . | cpio -o -H newc 2>/dev/null >>"$2"'
  await run('busybox', ['sh', '-c', command, 'sh', folder, file], { timeout: BUILD_TIMEOUT_MS })
}

/** Programs with the libraries that they are linked to: where each file is to stand, and where it is here. */
export async function programFiles(programs: readonly string[]): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const name of programs) {
    const path = await where(name)
    files.set(`/bin/${basename(name)}`, path)
    // Fails for a script, which needs none.
    const { stdout } = await run('ldd', [path]).catch(() => ({ stdout: '' }))
    for (const [, library = ''] of stdout.matchAll(/(\/\S+) \(0x/g)) files.set(library, library)
  }
  return files
}

async function build(file: string, files: ReadonlyMap<string, string>, modules: string): Promise<void> {
  const scratch = await mkdtemp(join(guestFolder, 'build-'))
  try {
    const root = join(scratch, 'root')
    for (const folder of ['bin', 'dev', 'etc/wireguard', 'modules', 'proc', 'run', 'sys', 'tmp', 'usr']) {
      await mkdir(join(root, folder), { recursive: true })
    }
    await symlink('/run', join(root, 'var')) // what wants /var/run finds it
    await symlink('/bin', join(root, 'usr/bin'))
    await symlink('/bin', join(root, 'sbin'))
    await copyAll(root, files)
    await copyFile(await where('busybox'), join(root, 'bin/busybox'))
    const { stdout } = await run('busybox', ['--list'])
    for (const applet of stdout.trim().split('\n')) {
      if (!files.has(`/bin/${applet}`) && applet !== 'busybox') await symlink('busybox', join(root, 'bin', applet))
    }
    for (const name of ['init', 'agent']) {
      await copyFile(script(name), join(root, name))
      await chmod(join(root, name), 0o755)
    }
    for (const [index, { name, bytes }] of (await modulesFor(modules, MODULES)).entries()) {
      await writeFile(join(root, 'modules', `${String(index).padStart(2, '0')}-${name}.ko`), bytes)
    }
    const made = join(scratch, 'image.cpio')
    await packInto(made, root)
    await rename(made, file)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** Copies files to where they are to stand below a folder. */
export async function copyAll(root: string, files: ReadonlyMap<string, string>): Promise<void> {
  for (const [at, from] of files) {
    await mkdir(dirname(join(root, at)), { recursive: true })
    // A link to a folder (a workspace's in node_modules) stays one, a link to a file becomes the file.
    if ((await stat(from)).isDirectory()) await symlink(await readlink(from), join(root, at))
    else await copyFile(from, join(root, at))
  }
}

function script(name: string): string {
  return join(import.meta.dirname, 'programs', `${name}.sh`)
}

async function where(program: string): Promise<string> {
  const { stdout } = await run('sh', ['-c', 'command -v "$1"', 'sh', program]).catch(() => ({ stdout: '' }))
  if (stdout === '') throw new Error(`no ${program} here`)
  return stdout.trim()
}
