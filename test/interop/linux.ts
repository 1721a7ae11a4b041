import { type Guest, startGuest, startLinux } from '../guest/index.ts'
import { type LabNode, until, up, type World } from '../lab/index.ts'
import { type End, type KeyPair, makeKeyPair, type OurEnd, startOurs } from '../wireguard/index.ts'

/** Two hosts, one of them a guest: it takes seconds to boot, so a file of tests shares one. */
export interface Hosts extends AsyncDisposable {
  readonly world: World
  readonly guest: Guest
}

/** Our device on the one host, Linux's own WireGuard on the other; both gone with it. */
export interface LinuxPair extends AsyncDisposable {
  readonly ours: OurEnd
  readonly theirs: End
  /** Ends one of them and starts it anew, with the same keys and what it knew of the other. */
  restart(which: 'ours' | 'theirs'): Promise<LinuxPair>
}

export interface LinuxPairOptions {
  readonly presharedKey?: Buffer
  /** Who knows the other's address, and so begins. Both unless said. */
  readonly initiator?: 'ours' | 'theirs'
  /** Over IPv6 outside. */
  readonly v6?: boolean
  /** Of both ends' interfaces. */
  readonly mtu?: number
  readonly keepaliveSeconds?: { readonly ours?: number; readonly theirs?: number }
}

export const PORT = 51820
export const INNER = { ours: ['10.98.0.1', 'fd98::1'], theirs: ['10.98.0.2', 'fd98::2'] } as const
/** A processor in software is slow, and slower beside other work. */
const ANSWER_TIMEOUT_MS = 30_000

export async function makeHosts(): Promise<Hosts> {
  const world = await up('two-hosts')
  try {
    return { world, guest: await startGuest(world, 'b'), [Symbol.asyncDispose]: () => world.down() }
  } catch (error) {
    await world.down()
    throw error
  }
}

/** Brings both ends up and introduces them to each other. Nothing has been said between them yet. */
export function makeLinuxPair(hosts: Hosts, options: LinuxPairOptions = {}): Promise<LinuxPair> {
  const keys = { ours: makeKeyPair(), theirs: makeKeyPair() }
  return start({ hosts, keys, options })
}

interface Plan {
  readonly hosts: Hosts
  readonly keys: { readonly ours: KeyPair; readonly theirs: KeyPair }
  readonly options: LinuxPairOptions
}

async function start(plan: Plan): Promise<LinuxPair> {
  const { ours, stop } = await startOne(plan)
  try {
    return pair(plan, ours, await startOther(plan))
  } catch (error) {
    await stop()
    throw error
  }
}

async function startOne({ hosts, keys, options }: Plan): Promise<{ ours: OurEnd; stop: () => Promise<void> }> {
  const ours = await startOurs({ ...end(hosts.world.node('a'), keys.ours, 'ours', options.mtu), vanilla: true })
  await ours.setPeer(remote(hosts.guest, keys.theirs, 'theirs', options))
  return { ours, stop: () => ours.stop() }
}

async function startOther({ hosts, keys, options }: Plan): Promise<End> {
  const theirs = await startLinux({ ...end(hosts.guest, keys.theirs, 'theirs', options.mtu), node: hosts.guest })
  await theirs.setPeer(remote(hosts.world.node('a'), keys.ours, 'ours', options))
  return theirs
}

function pair(plan: Plan, ours: OurEnd, theirs: End): LinuxPair {
  return {
    ours,
    theirs,
    restart: async (which) => {
      if (which === 'ours') {
        await ours.stop()
        return pair(plan, (await startOne(plan)).ours, theirs)
      }
      await theirs.stop()
      return pair(plan, ours, await startOther(plan))
    },
    [Symbol.asyncDispose]: async () => void (await Promise.all([ours.stop(), theirs.stop()])),
  }
}

function end(node: LabNode, keys: KeyPair, which: 'ours' | 'theirs', mtu: number | undefined) {
  const [v4, v6] = INNER[which]
  return { node, keys, addresses: [`${v4}/24`, `${v6}/64`], listenPort: PORT, ...(mtu === undefined ? {} : { mtu }) }
}

/** The end `which`, as the other is told of it. */
function remote(node: LabNode, keys: KeyPair, which: 'ours' | 'theirs', options: LinuxPairOptions) {
  const { presharedKey, initiator = which === 'ours' ? 'theirs' : 'ours', v6 = false } = options
  const teller = which === 'ours' ? 'theirs' : 'ours'
  const keepaliveSeconds = options.keepaliveSeconds?.[teller]
  const address = node.addresses.find((each) => each.includes(':') === v6) ?? ''
  return {
    publicKey: keys.publicKey,
    allowedIps: [`${INNER[which][0]}/32`, `${INNER[which][1]}/128`],
    ...(presharedKey === undefined ? {} : { presharedKey }),
    ...(keepaliveSeconds === undefined ? {} : { keepaliveSeconds }),
    ...(initiator === teller ? { endpoint: { address, port: PORT } } : {}),
  }
}

/** Waits until a ping from one end to an inner address of the other is answered. */
export async function answers(from: End, address: string, timeoutMs = ANSWER_TIMEOUT_MS): Promise<void> {
  await until(timeoutMs, `an answer from ${address}`, async () => {
    const { code } = await from.node.exec('ping', ['-c', '1', '-W', '1', address], { mayFail: true })
    return code === 0 ? true : null
  })
}

/** Gives a host another outer address in place of the one that it has. */
export async function move(node: LabNode, from: string, to: string): Promise<void> {
  await node.exec('ip', ['-batch', '-'], {
    input: `address delete ${from}/24 dev eth0\naddress add ${to}/24 dev eth0`,
  })
}
