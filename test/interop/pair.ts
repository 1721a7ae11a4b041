import { type LabNode, until, up, type World } from '../lab/index.ts'
import { type End, makeKeyPair, type Remote, type Rival, startOurs, startWireguardGo } from '../wireguard/index.ts'

/** Our device and another implementation's at the two ends of a wire. */
export interface Pair extends AsyncDisposable {
  readonly world: World
  readonly ours: End
  readonly theirs: End
}

export interface PairOptions {
  readonly presharedKey?: Buffer
  /** Who knows the other's address, and so begins. Both unless said. */
  readonly initiator?: 'ours' | 'theirs'
  /** Over IPv6 outside. */
  readonly v6?: boolean
}

const PORT = 51820
const ANSWER_TIMEOUT_MS = 10_000

/** Brings both ends up and introduces them to each other. Nothing has been said between them yet. */
export async function makePair(rival: Rival, options: PairOptions = {}): Promise<Pair> {
  if ('missing' in rival) throw new Error(`${rival.name} cannot be had: ${rival.missing}`)
  const world = await up('two-hosts')
  try {
    const end = (name: string, last: number) => ({
      node: world.node(name),
      keys: makeKeyPair(),
      addresses: [`10.98.0.${last}/24`, `fd98::${last}/64`],
      listenPort: PORT,
    })
    const [ours, theirs] = await Promise.all([
      startOurs({ ...end('a', 1), vanilla: true }),
      startWireguardGo(rival.program, end('b', 2)),
    ])
    const psk = options.presharedKey === undefined ? {} : { presharedKey: options.presharedKey }
    const remote = (other: End, last: number, known: boolean): Remote => ({
      publicKey: other.publicKey,
      allowedIps: [`10.98.0.${last}/32`, `fd98::${last}/128`],
      ...psk,
      ...(known ? { endpoint: { address: outer(other.node, options.v6 ?? false), port: PORT } } : {}),
    })
    await ours.setPeer(remote(theirs, 2, options.initiator !== 'theirs'))
    await theirs.setPeer(remote(ours, 1, options.initiator !== 'ours'))
    return { world, ours, theirs, [Symbol.asyncDispose]: () => world.down() }
  } catch (error) {
    await world.down()
    throw error
  }
}

function outer(node: LabNode, v6: boolean): string {
  return node.addresses.find((address) => address.includes(':') === v6) ?? ''
}

/** Waits until a ping from one end to the other's inner address is answered. */
export async function answers(from: End, to: End, timeoutMs = ANSWER_TIMEOUT_MS): Promise<void> {
  await until(timeoutMs, `an answer from ${to.address}`, async () => {
    const { code } = await from.node.exec('ping', ['-c', '1', '-W', '0.3', to.address], { mayFail: true })
    return code === 0 ? true : null
  })
}
