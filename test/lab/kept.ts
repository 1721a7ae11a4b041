import { type ChildProcess, fork } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LabError } from './error.ts'
import { runFolders, startOf } from './run-folder.ts'
import { until } from './until.ts'
import { up } from './world.ts'

/** A world that a process of its own keeps up, so that commands can come and go. */
export interface KeptWorld {
  readonly name: string
  /** The process that keeps it. */
  readonly pid: number
  /** Whether it is in a user namespace (an ordinary user's world). */
  readonly inUserNamespace: boolean
  readonly nodes: readonly { readonly name: string; readonly pid: number; readonly addresses: readonly string[] }[]
}

const RECORD = 'world.json'
const START_TIMEOUT_MS = 30_000
const END_TIMEOUT_MS = 10_000

/** All that are up on this machine and readable to us. */
export async function keptWorlds(): Promise<KeptWorld[]> {
  const found: KeptWorld[] = []
  for (const { path, alive } of await runFolders()) {
    if (!alive) continue
    const text = await readFile(join(path, RECORD), 'utf8').catch(() => null)
    if (text !== null) found.push(JSON.parse(text) as KeptWorld)
  }
  return found
}

/** The one of this name. Throws when it is not up. */
export async function keptWorld(name: string): Promise<KeptWorld> {
  const found = (await keptWorlds()).find((world) => world.name === name)
  if (found === undefined) throw new LabError(`${name} is not up; bring it up by: npx node test/lab/main.ts up ${name}`)
  return found
}

/** Starts the keeper of a world (`program` is this command itself) and waits until the world is up. */
export async function startKeeper(program: string, name: string, inUserNamespace: boolean): Promise<KeptWorld> {
  if ((await keptWorlds()).some((world) => world.name === name)) throw new LabError(`${name} is up already`)
  const asUser = { execPath: 'unshare', execArgv: ['-Urnm', process.execPath] }
  const child = fork(program, ['keep', name], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    ...(inUserNamespace ? asUser : {}),
  })
  try {
    await announced(child, name)
  } finally {
    child.stderr?.destroy()
    if (child.connected) child.disconnect()
    child.unref()
  }
  return keptWorld(name)
}

function announced(child: ChildProcess, name: string): Promise<void> {
  return new Promise((done, failed) => {
    let said = ''
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      failed(new LabError(`${name} was not up after ${START_TIMEOUT_MS} ms: ${said}`))
    }, START_TIMEOUT_MS)
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    child.once('error', (error) => failed(new LabError(error.message)))
    child.once('exit', () => {
      clearTimeout(timer)
      failed(new LabError(said.trim() || `the keeper of ${name} ended`))
    })
    child.once('message', () => {
      clearTimeout(timer)
      child.removeAllListeners('exit')
      done()
    })
  })
}

/** What the keeper does: brings the world up, writes its record, tells who started it, and stays until SIGTERM. */
export async function keep(name: string, inUserNamespace: boolean): Promise<void> {
  const ended = new Promise<void>((done) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => done())
  })
  await using world = await up(name)
  const folder = await world.folder()
  const nodes = world.nodes.map((node) => ({ name: node.name, pid: node.holderPid, addresses: node.addresses }))
  const record: KeptWorld = { name, pid: process.pid, inUserNamespace, nodes }
  await writeFile(join(folder, RECORD), JSON.stringify(record), { mode: 0o600 })
  process.send?.('up')
  process.channel?.unref()
  // Nothing else holds a process that only waits for a signal.
  const alive = setInterval(() => {}, 1 << 30)
  await ended
  clearInterval(alive)
}

/** Ends a kept world and waits until it is gone. */
export async function endKept(world: KeptWorld): Promise<void> {
  const started = startOf(world.pid)
  process.kill(world.pid, 'SIGTERM')
  await until(END_TIMEOUT_MS, `${world.name} to end`, () => (startOf(world.pid) === started ? null : true))
}

/** The words before a command that make it run in a node of a kept world. */
export function enterKept(world: KeptWorld, name: string, cwd: string): string[] {
  const node = world.nodes.find((each) => each.name === name)
  if (node === undefined)
    throw new LabError(`${world.name} has no node ${name}; there are ${world.nodes.map((n) => n.name).join(', ')}`)
  const user = world.inUserNamespace ? ['--user', '--preserve-credentials'] : []
  const own = ['--net', '--mount', '--uts', '--ipc', `--pid=/proc/${node.pid}/ns/pid_for_children`]
  return ['nsenter', `--target=${node.pid}`, ...user, ...own, '--', 'env', `--chdir=${cwd}`]
}
