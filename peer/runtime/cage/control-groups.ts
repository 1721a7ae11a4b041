import { constants } from 'node:fs'
import { access, mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LeaseId } from '@ropewalk/shared/runtime'
import type { CageDevices } from './face.ts'
import { trialName } from './trial-name.ts'

const CONTROLLERS = ['cpu', 'memory', 'pids'] as const

/** What a control group limits. */
export type Controller = (typeof CONTROLLERS)[number]

/** Where control groups can be made on this machine. */
export interface GroupPlaces {
  /** The hierarchy of version 2. */
  readonly unified: { readonly folder: string; readonly limits: boolean } | null
  /** Those of version 1, by controller; empty where version 2 has the limits. */
  readonly split: Readonly<Partial<Record<Controller, string>>>
}

/** What the keeper makes for a lease. */
export interface LeaseGroups {
  /** Folders that are made, each a group. */
  readonly folders: readonly string[]
  /** What is written into which file. */
  readonly limits: readonly { readonly value: string; readonly file: string }[]
  /** The group of version 2 below its hierarchy's root. */
  readonly unified: string | null
  /** What Ray looks at for its memory: the lease's group, and where it is expected inside. */
  readonly view: { readonly folder: string; readonly inside: string } | null
}

/** One line of `/proc/self/mountinfo` (proc(5)): where a hierarchy is mounted, and which part of it. */
interface Mount {
  readonly root: string
  readonly folder: string
  readonly kind: string
  readonly options: readonly string[]
}

function parseMounts(mountinfo: string): Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ')
    const [, , , root, folder] = left.split(' ')
    const [kind, , options] = right.split(' ')
    if (root === undefined || folder === undefined || kind === undefined) return []
    return [{ root, folder: unescaped(folder), kind, options: options?.split(',') ?? [] }]
  })
}

/** The kernel writes blanks and the like as three octal digits. */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

/** Own group in each hierarchy, by controller; version 2 has the empty name: `/proc/self/cgroup`. */
function parseOwn(cgroup: string): Map<string, string> {
  const own = new Map<string, string>()
  for (const line of cgroup.split('\n')) {
    const [, names, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    if (names === undefined || path === undefined) continue
    for (const name of names.split(',')) own.set(name, path)
  }
  return own
}

/** Where groups would be made by what the kernel says of its hierarchies; whether that is allowed is another question. */
export function groupPlaces(mountinfo: string, cgroup: string): GroupPlaces {
  const mounts = parseMounts(mountinfo)
  const own = parseOwn(cgroup)
  const unified = mounts.find(({ kind }) => kind === 'cgroup2')
  const split: Partial<Record<Controller, string>> = {}
  for (const controller of CONTROLLERS) {
    const mount = mounts.find(({ kind, options }) => kind === 'cgroup' && options.includes(controller))
    const path = own.get(controller)
    // Below our own: what limits us limits the lease.
    if (mount !== undefined && path !== undefined) split[controller] = join(mount.folder, within(mount.root, path))
  }
  return { unified: unified === undefined ? null : { folder: unified.folder, limits: false }, split }
}

function within(root: string, path: string): string {
  const prefix = root === '/' ? '' : root
  return path.startsWith(`${prefix}/`) && path !== '/' ? path.slice(prefix.length) : ''
}

/** Where this process may make groups. */
export async function findGroupPlaces(): Promise<GroupPlaces> {
  const [mountinfo, cgroup] = await Promise.all(
    ['/proc/self/mountinfo', '/proc/self/cgroup'].map((path) => readFile(path, 'utf8')),
  )
  const found = groupPlaces(mountinfo ?? '', cgroup ?? '')
  if (found.unified !== null && (await mayMake(found.unified.folder))) {
    if (await enable(found.unified.folder)) return { unified: { ...found.unified, limits: true }, split: {} }
    return { unified: found.unified, split: await writable(found.split) }
  }
  return { unified: null, split: await writable(found.split) }
}

async function writable(split: GroupPlaces['split']): Promise<GroupPlaces['split']> {
  const kept: Partial<Record<Controller, string>> = {}
  for (const controller of CONTROLLERS) {
    const folder = split[controller]
    if (folder !== undefined && (await mayMake(folder))) kept[controller] = folder
  }
  return kept
}

/** A permission of the file system says little here: only the kernel knows. */
async function mayMake(folder: string): Promise<boolean> {
  const trial = join(folder, trialName())
  try {
    await access(folder, constants.W_OK)
    await mkdir(trial)
    await rmdir(trial)
    return true
  } catch {
    return false
  }
}

/** Gives the limits of version 2 to the groups below a folder. */
async function enable(folder: string): Promise<boolean> {
  try {
    await writeFile(join(folder, 'cgroup.subtree_control'), CONTROLLERS.map((name) => `+${name}`).join(' '))
    return true
  } catch {
    return false // they are with version 1, or processes stand in this folder itself
  }
}

const PERIOD_US = 100_000
const MIB = 1024 * 1024

/** Threads count: Ray has some 50 in each worker, and a worker for each core. */
function mostThreads(cpus: number): number {
  return 4_096 + 512 * cpus
}

/** The groups of a lease. */
export function leaseGroups(
  id: LeaseId,
  devices: Pick<CageDevices, 'cpus' | 'memoryMiB'>,
  places: GroupPlaces,
): LeaseGroups {
  const name = `ropewalk-${id}`
  const bytes = String(devices.memoryMiB * MIB)
  const quota = devices.cpus * PERIOD_US
  const threads = String(mostThreads(devices.cpus))
  const unified = places.unified === null ? null : join(places.unified.folder, name)
  const limits: { value: string; file: string }[] = []
  const set = (folder: string | undefined | null, values: Readonly<Record<string, string>>) => {
    if (folder === undefined || folder === null) return
    for (const [file, value] of Object.entries(values)) limits.push({ value, file: join(folder, file) })
  }
  const split = Object.fromEntries(
    Object.entries(places.split).map(([controller, folder]) => [controller, join(folder, name)]),
  ) as Partial<Record<Controller, string>>
  if (places.unified?.limits) {
    set(unified, {
      'memory.max': bytes,
      'memory.swap.max': '0',
      'cpu.max': `${quota} ${PERIOD_US}`,
      'pids.max': threads,
    })
  }
  set(split.memory, { 'memory.limit_in_bytes': bytes, 'memory.memsw.limit_in_bytes': bytes })
  set(split.cpu, { 'cpu.cfs_period_us': String(PERIOD_US), 'cpu.cfs_quota_us': String(quota) })
  set(split.pids, { 'pids.max': threads })
  const view =
    places.unified?.limits && unified !== null
      ? { folder: unified, inside: '/sys/fs/cgroup' }
      : split.memory === undefined
        ? null
        : { folder: split.memory, inside: '/sys/fs/cgroup/memory' }
  const folders = [...new Set([...(unified === null ? [] : [unified]), ...Object.values(split)])]
  return { folders, limits, unified, view }
}
