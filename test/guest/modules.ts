import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A kernel module, unpacked. */
export interface Module {
  readonly name: string
  readonly bytes: Buffer
}

const MODULE_BYTES = 2 ** 25

/** The modules of these names and all that they need, each behind those that it needs. */
export async function modulesFor(folder: string, names: readonly string[]): Promise<Module[]> {
  const files = new Map<string, string>()
  for (const entry of await readdir(folder, { recursive: true })) {
    if (/\.ko(\.xz)?$/.test(entry)) files.set(plain(basename(entry).replace(/\.ko.*/, '')), join(folder, entry))
  }
  const found = new Map<string, Module>()
  const add = async (name: string): Promise<void> => {
    const file = files.get(name)
    if (found.has(name)) return
    if (file === undefined) throw new Error(`the kernel has no module ${name}`)
    const bytes = await unpack(file)
    for (const needed of dependencies(bytes)) await add(needed)
    found.set(name, { name, bytes })
  }
  for (const name of names) await add(plain(name))
  return [...found.values()]
}

async function unpack(file: string): Promise<Buffer> {
  const words = file.endsWith('.xz') ? ['xzcat', file] : ['cat', file]
  const { stdout } = await run('busybox', words, { encoding: 'buffer', maxBuffer: MODULE_BYTES })
  return stdout
}

/** Its section .modinfo is texts between zeros; one says what it needs. */
function dependencies(bytes: Buffer): string[] {
  const [, names = ''] = /\0depends=([^\0]*)\0/.exec(bytes.toString('latin1')) ?? []
  return names
    .split(',')
    .filter((name) => name !== '')
    .map(plain)
}

/** Dashes and underscores are the same in names of modules. */
function plain(name: string): string {
  return name.replaceAll('-', '_')
}
