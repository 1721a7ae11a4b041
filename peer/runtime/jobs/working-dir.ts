import type { Dirent } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { Logger } from '@ropewalk/shared/logger'
import { type Ignored, nothingIgnored } from './ignored.ts'

/** Most files and empty folders of a working directory. */
const MAX_ENTRIES = 100_000

/** A file of a working directory, or a folder with nothing in it. */
export interface TreeEntry {
  /** Within the directory, with `/` between; a folder's ends with one. */
  readonly path: string
  /** Where its bytes are. */
  readonly source: string
  readonly bytes: number
  readonly executable: boolean
}

export interface TreeOptions {
  readonly maxBytes: number
  readonly signal: AbortSignal
  readonly logger: Logger
}

/**
 * What of a working directory goes with a job, in the order of its paths. A link counts as what it leads to.
 *
 * @throws RopewalkError `too-large`; `bad-input` for a link that leads outside, or a name no zip can carry; `not-found`
 */
export async function listTree(directory: string, options: TreeOptions): Promise<TreeEntry[]> {
  const root = await realpath(directory).catch((cause: unknown) => {
    throw new RopewalkError('not-found', `There is no working directory ${directory}`, { cause })
  })
  if (!(await stat(root)).isDirectory()) throw new RopewalkError('bad-input', `${directory} is no directory`)
  const walk: Walk = { root, directory, options, entries: [], bytes: 0 }
  await enter(walk, { folder: root, base: '', ignored: nothingIgnored, above: [root] })
  return walk.entries.sort((a, b) => (a.path < b.path ? -1 : 1))
}

interface Walk {
  readonly root: string
  readonly directory: string
  readonly options: TreeOptions
  readonly entries: TreeEntry[]
  bytes: number
}

interface Place {
  readonly folder: string
  readonly base: string
  readonly ignored: Ignored
  /** Real paths of the folders that led here, so that a link to one of them is found. */
  readonly above: readonly string[]
}

async function enter(walk: Walk, place: Place): Promise<void> {
  walk.options.signal.throwIfAborted()
  const ignored = await place.ignored.within(place.folder, place.base)
  const items = await readdir(place.folder, { withFileTypes: true }).catch(unreadable(place.folder))
  for (const item of items) await visit(walk, { ...place, ignored }, item)
  if (items.length === 0 && place.base !== '')
    add(walk, { path: place.base, source: place.folder, bytes: 0, executable: false })
}

async function visit(walk: Walk, place: Place, item: Dirent): Promise<void> {
  const source = join(place.folder, item.name)
  const path = `${place.base}${item.name}`
  if (place.ignored.has(item.isDirectory() ? `${path}/` : path)) return
  const target = item.isSymbolicLink() ? await followed(walk, source, path) : source
  if (target === undefined) return
  const found = await stat(target).catch(unreadable(source))
  if (found.isDirectory()) {
    if (place.ignored.has(`${path}/`)) return
    if (item.isSymbolicLink() && place.above.includes(target))
      throw new RopewalkError('bad-input', `The link ${path} leads to a folder that it stands in`, leaveOut(path))
    const above = item.isSymbolicLink() ? [...place.above, target] : [...place.above, source]
    await enter(walk, { folder: source, base: `${path}/`, ignored: place.ignored, above })
  } else if (found.isFile()) {
    add(walk, { path, source: target, bytes: found.size, executable: (found.mode & 0o111) !== 0 })
  } else {
    walk.options.logger.warn('left out of the working directory: neither file nor folder', { path })
  }
}

/** Where a link leads; nothing when it leads nowhere. What it leads to must be a part of the tree by itself. */
async function followed(walk: Walk, source: string, path: string): Promise<string | undefined> {
  const target = await realpath(source).catch(() => undefined)
  if (target === undefined) {
    walk.options.logger.warn('left out of the working directory: a link that leads nowhere', { path })
    return undefined
  }
  const within = relative(walk.root, target)
  if (within === '..' || within.startsWith(`..${sep}`))
    throw new RopewalkError(
      'bad-input',
      `The link ${path} leads out of the working directory, to ${target}`,
      leaveOut(path),
    )
  if (within.split(sep).includes('.git'))
    throw new RopewalkError('bad-input', `The link ${path} leads into .git, which is never sent`, leaveOut(path))
  return target
}

function add(walk: Walk, entry: TreeEntry): void {
  const { directory, options, entries } = walk
  if (entry.path.includes('\\') || entry.path.includes('\ufffd'))
    throw new RopewalkError('bad-input', `The name ${JSON.stringify(entry.path)} cannot go into a package`, {
      hint: 'rename it without backslashes and in UTF-8, or leave it out by .rayignore',
    })
  walk.bytes += entry.bytes
  entries.push(entry)
  if (walk.bytes <= options.maxBytes && entries.length <= MAX_ENTRIES) return
  const most = walk.bytes > options.maxBytes ? `${options.maxBytes / 1e6} MB` : `${MAX_ENTRIES} files`
  throw new RopewalkError('too-large', `The working directory ${directory} has more than ${most}`, {
    hint: 'leave data and models out by .gitignore or .rayignore, or name a smaller one by --working-dir',
  })
}

function leaveOut(path: string): { hint: string } {
  return { hint: `write /${path} into .rayignore, or copy what it leads to` }
}

function unreadable(path: string): (error: unknown) => never {
  return (cause) => {
    const { code, message } = toRopewalkError(cause)
    throw new RopewalkError(code, `${path} cannot be read: ${message}`, { hint: 'leave it out by .rayignore', cause })
  }
}
