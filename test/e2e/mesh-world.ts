import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  checkout,
  type Finished,
  type LabNode,
  type LabProcess,
  type SpawnOptions,
  type ToolOptions,
  until,
  up,
  type World,
} from '../lab/index.ts'

const ROPEWALK = join(checkout, 'peer/bin/ropewalk.mjs')
const ROPEWALK_RELAY = join(checkout, 'relay/bin/ropewalk-relay.mjs')
export const NETWORK = 'lab'
export const WORKERS = ['worker-a', 'worker-b', 'worker-c'] as const
export const ENGINEER = 'engineer'
export const MEMBERS = [...WORKERS, ENGINEER] as const

export interface StartOptions {
  /** Further words for `ropewalk up`. */
  readonly args?: readonly string[]
  /** Without a ticket: it has joined before. */
  readonly again?: boolean
  /** Its ticket is there already (see {@link MeshWorld.ticket}). */
  readonly ticketed?: boolean
}

/** The commands of the product in a world of the lab, as their users run them. */
export class MeshWorld implements AsyncDisposable {
  readonly world: World
  readonly folder: string
  readonly #running = new Map<string, LabProcess>()

  private constructor(world: World, folder: string) {
    this.world = world
    this.folder = folder
  }

  /** A world with a network that has a relay running and nobody else. */
  static async open(plan = 'three-workers'): Promise<MeshWorld> {
    const world = await up(plan)
    const mesh = new MeshWorld(world, await world.folder())
    try {
      await mesh.admin(['network', 'create', NETWORK])
      const host = world.node('relay').address
      await mesh.ticket('relay', ['--relay', '--public-host', host])
      await mesh.startRelay()
      return mesh
    } catch (error) {
      await mesh[Symbol.asyncDispose]()
      throw error
    }
  }

  state(name: string): string {
    return join(this.folder, name)
  }

  node(name: string): LabNode {
    return this.world.node(name)
  }

  /** A command on the state folder that holds the root key; on the relay's node, where nothing of it runs. */
  admin(args: readonly string[], options: ToolOptions = {}): Promise<Finished> {
    return this.node('relay').exec(process.execPath, [ROPEWALK, ...args, '--state', this.state('admin')], options)
  }

  /** Makes a ticket in a file and gives its path. */
  async ticket(name: string, args: readonly string[] = []): Promise<string> {
    const file = this.#ticketFile(name)
    const { stdout } = await this.admin(['invite', '--name', name, ...args])
    await writeFile(file, stdout, { mode: 0o600 })
    return file
  }

  #ticketFile(name: string): string {
    return join(this.folder, `${name}.ticket`)
  }

  async startRelay(): Promise<LabProcess> {
    const args = ['--ticket-file', this.#ticketFile('relay'), '--tls-self-signed', '--state', this.state('relay')]
    const relay = this.node('relay').spawn(process.execPath, [ROPEWALK_RELAY, ...args])
    this.#running.set('relay', relay)
    await this.ready('relay')
    return relay
  }

  /** The root holder's own peer, beside the relay: what is signed there spreads by it. */
  async startAdmin(): Promise<void> {
    const words = [ROPEWALK, 'up', '--rootless', '--name', 'admin', '--state', this.state('admin')]
    this.#running.set('admin', this.node('relay').spawn(process.execPath, words))
    await this.admin(['status', '--wait', '--timeout', '20s'])
  }

  /** Starts a peer by a ticket of its own; ready means a relay is connected. */
  async start(name: string, { args = [], again = false, ticketed = false }: StartOptions = {}): Promise<LabProcess> {
    const file = again || ticketed ? this.#ticketFile(name) : await this.ticket(name)
    const ticket = again ? [] : ['--ticket-file', file]
    const words = ['up', ...ticket, '--names', 'on', '--state', this.state(name), ...args]
    const peer = this.node(name).spawn(process.execPath, [ROPEWALK, ...words])
    this.#running.set(name, peer)
    return peer
  }

  async ready(name: string): Promise<void> {
    const process = this.running(name)
    const waiting = this.ropewalk(name, ['status', '--wait', '--timeout', '20s'])
    const ended = process.ended.then(({ code }) => {
      throw new Error(`${name} ended with ${code}: ${process.output()}`)
    })
    ended.catch(() => {})
    await Promise.race([waiting, ended]).catch((error: unknown) => {
      throw new Error(`${name} did not get ready: ${String(error)}\n${process.output().slice(-4000)}`)
    })
  }

  running(name: string): LabProcess {
    const found = this.#running.get(name)
    if (found === undefined) throw new Error(`${name} was not started`)
    return found
  }

  /** A command of the product on a node, on the state of its peer. */
  ropewalk(name: string, args: readonly string[], options: ToolOptions = {}): Promise<Finished> {
    const env = { ...process.env, HOME: this.home(name), ROPEWALK_STATE: this.state(name) }
    return this.node(name).exec(process.execPath, [ROPEWALK, ...args], { ...options, env })
  }

  /** Where a node's root is at home: in the world's folder, never in that of this machine's root. */
  home(name: string): string {
    return join(this.folder, `home-${name}`)
  }

  /** Makes it so for programs that ask the user database, as ssh does. */
  async moveIn(name: string): Promise<void> {
    const home = this.home(name)
    const line = `s|^root:.*|root:x:0:0:root:${home}:/bin/sh|`
    await this.node(name).exec('sh', [
      '-c',
      `mkdir -p -m 700 ${home}/.ssh; sed '${line}' /etc/passwd >/etc/passwd.new; mv /etc/passwd.new /etc/passwd`,
    ])
  }

  spawn(name: string, args: readonly string[], options: SpawnOptions = {}): LabProcess {
    const env = { ...process.env, ROPEWALK_STATE: this.state(name) }
    return this.node(name).spawn(process.execPath, [ROPEWALK, ...args], { ...options, env })
  }

  async json<T>(name: string, args: readonly string[]): Promise<T> {
    const { stdout } = await this.ropewalk(name, [...args, '-o', 'json'])
    return JSON.parse(stdout) as T
  }

  /** How `from` reaches `to` now: `direct`, `relay`, `connecting` … */
  async linkState(from: string, to: string): Promise<string> {
    const { peers } = await this.json<{ peers: { name: string; state: string }[] }>(from, ['peers'])
    return peers.find(({ name }) => name === to)?.state ?? 'unknown'
  }

  async untilLink(from: string, to: string, state: string, timeoutMs: number): Promise<void> {
    await until(timeoutMs, `${from} to reach ${to} by ${state}`, async () =>
      (await this.linkState(from, to)) === state ? true : null,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.values()].map((process) => process.stop()))
    await this.world.down()
  }
}
