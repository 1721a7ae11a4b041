import { rm } from 'node:fs/promises'
import { LabError } from './error.ts'
import { type End, layOut } from './layout.ts'
import { type LabLink, layCable } from './link.ts'
import { type LabNode, makeNode, type OwnedNode, prepareNode } from './node.ts'
import type { WorldPlan } from './plan.ts'
import { cutRule } from './rules.ts'
import { makeRunFolder, sweep } from './run-folder.ts'
import { worlds } from './worlds/index.ts'

/** A world that is up. It ends with {@link World.down}, with `await using`, and at the latest with this process. */
export interface World extends AsyncDisposable {
  readonly name: string
  readonly nodes: readonly LabNode[]
  /** Throws {@link LabError} for a name that is not in the plan. */
  node(name: string): LabNode
  /** By `NODE/WHAT-IT-IS-ON`, or by `NODE` alone where it has one cable. */
  link(name: string): LabLink
  /** The address that a node is seen under on the internet: its own, or that of the outermost NAT before it. */
  publicAddress(node: string): string
  /** Nothing passes any more between two nodes' public addresses, silently; everything else does. Until the returned
   *  function is called. */
  cut(one: string, other: string): Promise<() => Promise<void>>
  /** A folder for files of this run, removed with the world. */
  folder(): Promise<string>
  down(): Promise<void>
}

/** Brings a world up, by its name or its plan. As root, or as root of a user namespace (`unshare -Urnm`). */
export async function up(wanted: string | WorldPlan): Promise<World> {
  const plan = typeof wanted === 'string' ? worlds.find((world) => world.name === wanted) : wanted
  if (plan === undefined)
    throw new LabError(`no world is called ${wanted}; there are ${worlds.map((w) => w.name).join(', ')}`)
  await sweep()
  const world = new RunningWorld(plan)
  try {
    await world.make()
  } catch (error) {
    await world.down()
    throw error
  }
  return world
}

class RunningWorld implements World {
  readonly name: string
  readonly #plan: WorldPlan
  readonly #nodes = new Map<string, OwnedNode>()
  readonly #links = new Map<string, LabLink>()
  #folder: Promise<string> | undefined

  constructor(plan: WorldPlan) {
    this.name = plan.name
    this.#plan = plan
  }

  get nodes(): readonly LabNode[] {
    return [...this.#nodes.values()]
  }

  async make(): Promise<void> {
    const { places, cables } = layOut(this.#plan)
    const endsOf = (name: string): End[] =>
      cables.flatMap(({ near, far }) => [near, far]).filter((end) => end.node === name)
    const onInternet = cables.filter(
      ({ far, near }) => far.addresses.length > 0 && this.#plan.nodes[near.node]?.kind === 'host',
    )
    const hosts = onInternet.flatMap(({ near }) =>
      near.addresses.map((address) => `${address.replace(/\/.*/, '')} ${near.node}.lab`),
    )
    await Promise.all(
      places.map(async (place) => {
        const node = await makeNode(place, endsOf(place.name), hosts)
        this.#nodes.set(place.name, node)
        await prepareNode(node, place)
      }),
    )
    await Promise.all(
      cables.map(async (cable) => {
        const ends = { near: this.#owned(cable.near.node), far: this.#owned(cable.far.node) }
        this.#links.set(cable.name, await layCable(cable, ends, () => this.folder()))
      }),
    )
  }

  node(name: string): LabNode {
    return this.#owned(name)
  }

  link(name: string): LabLink {
    const exact = this.#links.get(name)
    if (exact !== undefined) return exact
    const [only, ...more] = [...this.#links.values()].filter((link) => link.name.startsWith(`${name}/`))
    if (only === undefined || more.length > 0) {
      throw new LabError(`no one link is called ${name}; there are ${[...this.#links.keys()].join(', ')}`)
    }
    return only
  }

  publicAddress(name: string): string {
    const plan = this.#plan.nodes[name]
    const above = plan?.kind === 'host' ? [plan.on].flat()[0] : plan?.kind === 'nat' ? plan.on : undefined
    if (above === undefined) throw new LabError(`${name} is not on the internet`)
    return this.#plan.nodes[above]?.kind === 'internet' ? this.node(name).address : this.publicAddress(above)
  }

  async cut(one: string, other: string): Promise<() => Promise<void>> {
    const internet = [...this.#nodes.values()].find((node) => node.kind === 'internet')
    if (internet === undefined) throw new LabError(`${this.name} has no internet`)
    const pair = [this.publicAddress(one), this.publicAddress(other)] as const
    await internet.nft(cutRule('add', ...pair))
    return () => internet.nft(cutRule('delete', ...pair))
  }

  folder(): Promise<string> {
    this.#folder ??= makeRunFolder()
    return this.#folder
  }

  async down(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map((node) => node.end()))
    this.#nodes.clear()
    this.#links.clear()
    if (this.#folder !== undefined) await rm(await this.#folder, { recursive: true, force: true })
    this.#folder = undefined
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.down()
  }

  #owned(name: string): OwnedNode {
    const node = this.#nodes.get(name)
    if (node === undefined)
      throw new LabError(`${this.name} has no node ${name}; there are ${[...this.#nodes.keys()].join(', ')}`)
    return node
  }
}
