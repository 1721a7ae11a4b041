import { randomBytes } from 'node:crypto'
import { type LabNode, until, up, type World, type WorldPlan } from '../lab/index.ts'
import { type StockDevice, startStock, type Word } from './device.ts'

/** Two devices of the program under test, introduced to each other. */
export interface StockPair extends AsyncDisposable {
  readonly world: World
  readonly a: StockDevice
  readonly b: StockDevice
  readonly presharedKey: Buffer
}

export interface PairOptions {
  /** `two-hosts` unless said; its hosts `a` and `b` get the devices. */
  readonly world?: WorldPlan | string
  /** How the two find each other; `none`: they are not told. IPv4 unless said. */
  readonly outer?: 'v4' | 'v6' | 'none'
  readonly mtu?: number
}

/** Inner addresses. */
export const INNER = { a: { v4: '10.98.0.1', v6: 'fd98::1' }, b: { v4: '10.98.0.2', v6: 'fd98::2' } } as const
/** UDP ports outside. */
export const PORT = { a: 1111, b: 2222 } as const

/** Brings both ends up. Nothing has been said between them yet. */
export async function makeStockPair(options: PairOptions = {}): Promise<StockPair> {
  const world = await up(options.world ?? 'two-hosts')
  try {
    const [a, b] = await Promise.all((['a', 'b'] as const).map((name) => startEnd(world.node(name), name, options)))
    if (a === undefined || b === undefined) throw new Error('unreachable')
    const presharedKey = randomBytes(32)
    await introduce(a, b, 'b', presharedKey)
    await introduce(b, a, 'a', presharedKey)
    const outer = options.outer ?? 'v4'
    if (outer !== 'none') await find({ a, b }, outer)
    return { world, a, b, presharedKey, [Symbol.asyncDispose]: () => world.down() }
  } catch (error) {
    await world.down()
    throw error
  }
}

/** Tells both where the other is. */
export async function find({ a, b }: Pick<StockPair, 'a' | 'b'>, outer: 'v4' | 'v6'): Promise<void> {
  await a.set('peer', b.keys.publicKey, 'endpoint', endpoint(b.node, outer, PORT.b))
  await b.set('peer', a.keys.publicKey, 'endpoint', endpoint(a.node, outer, PORT.a))
}

/** A host's outer address and a port, as `wg` writes them. */
export function endpoint(node: LabNode, family: 'v4' | 'v6', port: number): string {
  const address = node.addresses.find((each) => each.includes(':') === (family === 'v6')) ?? ''
  return at(address, port)
}

export function at(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function startEnd(node: LabNode, name: 'a' | 'b', { mtu }: PairOptions): Promise<StockDevice> {
  return startStock(node, {
    listenPort: PORT[name],
    addresses: [`${INNER[name].v4}/24`, `${INNER[name].v6}/112`],
    ...(mtu === undefined ? {} : { mtu }),
  })
}

function introduce(end: StockDevice, other: StockDevice, name: 'a' | 'b', psk: Buffer): Promise<void> {
  const words: Word[] = ['peer', other.keys.publicKey, 'preshared-key', psk]
  return end.set(...words, 'allowed-ips', `${INNER[name].v4}/32,${INNER[name].v6}/128`)
}

/** One ping that must be answered within a second, as stock users would try. Throws with what ping said. */
export async function reach(node: LabNode, address: string, ...words: readonly string[]): Promise<void> {
  await node.exec('ping', ['-n', '-c', '1', '-W', '1', ...words, address])
}

/** So many pings as fast as they go, each answered before the next. */
export async function flood(node: LabNode, address: string, count: number, ...words: readonly string[]): Promise<void> {
  await node.exec('ping', ['-n', '-q', '-f', '-W', '1', '-c', count.toString(), ...words, address])
}

/** What a ping said that nobody answered. Throws when it was answered. */
export async function unanswered(node: LabNode, address: string, ...words: readonly string[]): Promise<string> {
  const { code, stdout } = await node.exec('ping', ['-n', '-c', '1', '-W', '1', ...words, address], { mayFail: true })
  if (code === 0) throw new Error(`${address} answered: ${stdout}`)
  return stdout
}

/** Waits until a ping is answered. */
export async function comesUp(node: LabNode, address: string, timeoutMs = 10_000): Promise<void> {
  await until(timeoutMs, `an answer from ${address}`, async () => {
    const { code } = await node.exec('ping', ['-n', '-c', '1', '-W', '0.3', address], { mayFail: true })
    return code === 0 ? true : null
  })
}
