import { join } from 'node:path'
import { checkout, type LabNode, type LabProcess, until } from '../lab/index.ts'
import { DEVICE, type KeyPair, makeKeyPair } from '../wireguard/index.ts'

/** The program under test: our command, or whatever else can stand in its place, so that the tests can be shown to be fair. */
export const PROGRAM = process.env.ROPEWALK_CONFORMANCE || join(checkout, 'node-wireguard', 'node-wireguard')

/** How a device is begun. */
export interface StockOptions {
  /** `wg0` unless said. */
  readonly name?: string
  /** None: the device is left without a private key. Made unless said. */
  readonly keys?: KeyPair | 'none'
  /** UDP; the program's choice unless said. */
  readonly listenPort?: number
  /** Inner addresses with prefix lengths. */
  readonly addresses?: readonly string[]
  readonly mtu?: number
  /** Leave the interface down. */
  readonly down?: boolean
}

/** A word for `wg`: a Buffer behind `private-key` or `preshared-key` is a secret, which wg reads from a pipe; any other is
 *  a public key. */
export type Word = string | number | Buffer

/** A device that the program under test made and that stock tools set up. */
export interface StockDevice {
  readonly node: LabNode
  readonly name: string
  readonly process: LabProcess
  /** In base64; empty without a key. */
  readonly publicKey: string
  readonly keys: KeyPair
  /** `wg set NAME …` */
  set(...words: readonly Word[]): Promise<void>
  /** `wg show NAME FIELD`, as its words: one row a line. */
  show(field: string): Promise<string[][]>
  /** What `wg show NAME FIELD` says beside this peer. Throws when it is not there. */
  of(peer: Peer, field: string): Promise<string[]>
  /** Bytes on the wire, as `wg` counts them. */
  transfer(peer: Peer): Promise<Transfer>
  /** `ip link set NAME …` */
  link(...words: readonly string[]): Promise<void>
  /** `ip address VERB WHAT dev NAME` */
  address(verb: 'add' | 'delete', ...addresses: readonly string[]): Promise<void>
}

export interface Transfer {
  readonly received: number
  readonly sent: number
}

/** Whoever has a public key. */
export type Peer = { readonly publicKey: string } | Buffer

const START_TIMEOUT_MS = 10_000
const ENVIRONMENT = { LOG_LEVEL: 'error', WG_PROCESS_FOREGROUND: '1' }
const HINT = 'try: node node-wireguard/build.mjs, or name another program in ROPEWALK_CONFORMANCE'
const SECRETS = ['private-key', 'preshared-key']

/** Starts the program under test and gives its device a key, a port, addresses and a carrier. */
export async function startStock(node: LabNode, options: StockOptions = {}): Promise<StockDevice> {
  const name = options.name ?? DEVICE
  const keys = options.keys === undefined || options.keys === 'none' ? makeKeyPair() : options.keys
  const process_ = node.spawn(PROGRAM, ['-f', name], { env: ENVIRONMENT })
  await until(START_TIMEOUT_MS, `${PROGRAM} to listen`, async () => {
    const { code } = await node.exec('wg', ['show', name], { mayFail: true })
    if (process_.child.exitCode !== null) throw new Error(`${PROGRAM} ended: ${process_.output()}${HINT}`)
    return code === 0 ? true : null
  })
  const device = new Stock(node, name, process_, options.keys === 'none' ? null : keys)
  if (options.keys !== 'none') await device.set('private-key', keys.privateKey)
  if (options.listenPort !== undefined) await device.set('listen-port', options.listenPort)
  await device.address('add', ...(options.addresses ?? []))
  if (options.mtu !== undefined) await device.link('mtu', options.mtu.toString())
  if (!options.down) await device.link('up')
  return device
}

class Stock implements StockDevice {
  readonly node: LabNode
  readonly name: string
  readonly process: LabProcess
  readonly publicKey: string
  readonly #keys: KeyPair | null

  constructor(node: LabNode, name: string, process: LabProcess, keys: KeyPair | null) {
    this.node = node
    this.name = name
    this.process = process
    this.#keys = keys
    this.publicKey = keys?.publicKey.toString('base64') ?? ''
  }

  get keys(): KeyPair {
    if (this.#keys === null) throw new Error(`${this.name} was begun without a key`)
    return this.#keys
  }

  async set(...words: readonly Word[]): Promise<void> {
    await this.node.exec('bash', ['-ec', `wg set ${this.name} ${shellWords(words)}`])
  }

  async show(field: string): Promise<string[][]> {
    const { stdout } = await this.node.exec('wg', ['show', this.name, field])
    const lines = stdout.split('\n').filter((line) => line !== '')
    return lines.map((line) => line.split(/\s+/).filter((word) => word !== ''))
  }

  async of(peer: Peer, field: string): Promise<string[]> {
    const rows = await this.show(field)
    const row = rows.find(([key]) => key === keyOf(peer))
    if (row === undefined) throw new Error(`${this.name} has no such peer: ${JSON.stringify(rows)}`)
    return row.slice(1)
  }

  async transfer(peer: Peer): Promise<Transfer> {
    const [received, sent] = await this.of(peer, 'transfer')
    return { received: Number(received), sent: Number(sent) }
  }

  async link(...words: readonly string[]): Promise<void> {
    await this.node.exec('ip', ['link', 'set', this.name, ...words])
  }

  async address(verb: 'add' | 'delete', ...addresses: readonly string[]): Promise<void> {
    for (const each of addresses) {
      const nodad = verb === 'add' && each.includes(':') ? ['nodad'] : []
      await this.node.exec('ip', ['address', verb, each, 'dev', this.name, ...nodad])
    }
  }
}

function keyOf(peer: Peer): string {
  return Buffer.isBuffer(peer) ? peer.toString('base64') : peer.publicKey
}

function shellWords(words: readonly Word[]): string {
  const shown = words.map((word, index) => {
    const text = word instanceof Buffer ? word.toString('base64') : word.toString()
    return word instanceof Buffer && SECRETS.includes(words[index - 1]?.toString() ?? '')
      ? `<(echo ${text})`
      : `'${text}'`
  })
  return shown.join(' ')
}
