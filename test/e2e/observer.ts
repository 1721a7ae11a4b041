import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DescribedApi } from '@ropewalk/relay/described-api'
import {
  applyDelta,
  type Delta,
  deltaSchema,
  type Snapshot,
  snapshotSchema,
  type TopologyLink,
  type TopologyNode,
} from '@ropewalk/shared/topology'
import { checkout, type LabProcess } from '../lab/index.ts'
import type { MeshWorld } from './mesh-world.ts'

const PROGRAM = join(checkout, 'test/e2e/programs/observe-relay.ts')
const PATHS = ['topology', 'nodes?limit=2', 'relays', 'tunnels', 'tunnels/agents', 'policy', 'audit?limit=1000']

type Line =
  | { readonly kind: 'event'; readonly event: string; readonly data: unknown }
  | {
      readonly kind: 'answer'
      readonly path: string
      readonly statusCode: number
      readonly headers: object
      readonly body: string
    }
type Answer = Extract<Line, { kind: 'answer' }>

/** An operator far from the workers, who sees the network through the relay's API only. */
export class Observer {
  readonly #program: LabProcess
  readonly #waiting = new Set<() => void>()
  readonly #answers: Answer[] = []
  #api: DescribedApi | undefined
  #snapshot: Snapshot | undefined
  /** Snapshots that came: one at the beginning, one for each start of the relay. */
  snapshots = 0

  private constructor(program: LabProcess) {
    this.#program = program
    if (program.child.stdout === null) throw new Error('the observer cannot speak')
    createInterface(program.child.stdout).on('line', (line) => this.#take(JSON.parse(line) as Line))
  }

  /** Begins to watch from a node of the world. */
  static async open(mesh: MeshWorld, from: string): Promise<Observer> {
    const { stdout } = await mesh.admin(['token', 'create', '--scope', 'read', '-o', 'json'])
    const { token } = JSON.parse(stdout) as { token: string }
    const url = `https://${mesh.node('relay').address}`
    const stdio = ['pipe', 'pipe', 'pipe'] as const
    const program = mesh.node(from).spawn(process.execPath, [PROGRAM, url], {
      env: { ROPEWALK_TOKEN: token },
      stdio: [...stdio],
    })
    return new Observer(program)
  }

  get snapshot(): Snapshot {
    if (this.#snapshot === undefined) throw new Error('nothing was seen yet')
    return this.#snapshot
  }

  node(name: string): TopologyNode | undefined {
    return this.#snapshot?.nodes.find((node) => node.name === name)
  }

  /** The links of a member. */
  links(name: string): TopologyLink[] {
    const id = this.node(name)?.nodeId
    return (this.#snapshot?.links ?? []).filter(({ a, b }) => a === id || b === id)
  }

  /** Waits until what is seen is so, and says after how many milliseconds it was. */
  async sees(what: string, timeoutMs: number, isSo: () => boolean): Promise<number> {
    const began = performance.now()
    await this.#wait(`${what} is seen`, timeoutMs, () => (isSo() ? true : undefined))
    return performance.now() - began
  }

  /** Asks for everything the API has, and gives what is wrong with the answers by the document that the relay serves. */
  async faults(): Promise<string[]> {
    const { body } = await this.#ask('/api/v1/openapi.json')
    this.#api ??= new DescribedApi(JSON.parse(body))
    const first = this.#snapshot?.nodes[0]?.nodeId
    const paths = [...PATHS, `nodes/${first}`, `nodes/${first}/paths`, 'nodes/nobody'].map((path) => `/api/v1/${path}`)
    const faults: string[] = []
    for (const path of [...paths, '/healthz', '/readyz', '/.well-known/ropewalk', '/metrics']) {
      const answer = await this.#ask(path)
      faults.push(...this.#api.faults({ method: 'GET', url: path }, answer).map((fault) => `${path}: ${fault}`))
    }
    return faults
  }

  async close(): Promise<void> {
    await this.#program.stop()
  }

  async #ask(path: string): Promise<Answer> {
    this.#program.child.stdin?.write(`${path}\n`)
    return await this.#wait(`${path} is answered`, 10_000, () => {
      const at = this.#answers.findIndex((answer) => answer.path === path)
      return at < 0 ? undefined : this.#answers.splice(at, 1)[0]
    })
  }

  #wait<T>(what: string, timeoutMs: number, look: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const attempt = () => {
        const found = look()
        if (found === undefined) return
        clearTimeout(timer)
        this.#waiting.delete(attempt)
        resolve(found)
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(attempt)
        reject(new Error(`waited ${timeoutMs} ms in vain until ${what}; seen:\n${this.#seen()}`))
      }, timeoutMs)
      this.#waiting.add(attempt)
      attempt()
    })
  }

  /** The picture in short, for people. */
  #seen(): string {
    const { nodes = [], links = [] } = this.#snapshot ?? {}
    const names = new Map(nodes.map(({ nodeId, name }) => [nodeId, name]))
    return [
      ...nodes.map(({ name, state }) => `${name} ${state}`),
      ...links.map(({ a, b, state, kind }) => `${names.get(a)} – ${names.get(b)} ${state} ${kind}`),
    ].join('\n')
  }

  #take(line: Line): void {
    if (line.kind === 'answer') this.#answers.push(line)
    else if (line.event === 'snapshot') {
      this.#snapshot = snapshotSchema.parse(line.data)
      this.snapshots += 1
    } else if (line.event === 'delta') {
      const delta: Delta = deltaSchema.parse(line.data)
      this.#snapshot = applyDelta(this.snapshot, delta)
    }
    for (const look of [...this.#waiting]) look()
  }
}
