import { expect, test } from 'vitest'
import { type LabNode, until, up } from '../lab/index.ts'
import { type KeyPair, makeKeyPair } from '../wireguard/index.ts'
import { PROGRAM, startStock } from './device.ts'
import { at, INNER, reach } from './pair.ts'

const ENVIRONMENT = { ...process.env, WG_QUICK_USERSPACE_IMPLEMENTATION: PROGRAM }

test.each(['10.98.0.0/24, fd98::/64', '0.0.0.0/0, ::/0'])(
  'wg-quick brings a tunnel for %s up and down',
  async (allowed) => {
    await using world = await up('two-hosts')
    const [node, other] = [world.node('a'), world.node('b')]
    const keys = makeKeyPair()
    const server = await startStock(other, { listenPort: 2222, addresses: [`${INNER.b.v4}/24`, `${INNER.b.v6}/64`] })
    await server.set('peer', keys.publicKey, 'allowed-ips', `${INNER.a.v4}/32,${INNER.a.v6}/128`)
    await write(node, configuration(keys, server.keys.publicKey, at(other.address, 2222), allowed))

    const before = await everything(node)
    await quick(node, 'up')
    await reach(node, INNER.b.v4)
    await reach(node, INNER.b.v6)
    const { stdout } = await node.exec('ip', ['-o', 'link', 'show', 'wg0'])
    expect(stdout).toMatch(/[<,]UP[,>].* mtu 1380 /)
    await quick(node, 'down')
    // wg-quick takes the interface away; the program notices, takes its socket away and ends.
    await until(5_000, 'all to be as before', async () => ((await everything(node)) === before ? true : null))

    await quick(node, 'up')
    await reach(node, INNER.b.v4)
    await quick(node, 'down')
  },
)

async function quick(node: LabNode, verb: 'up' | 'down'): Promise<void> {
  await node.exec('wg-quick', [verb, 'wg0'], { env: ENVIRONMENT })
}

/** Interfaces, rules, routes, sockets and processes. */
async function everything(node: LabNode): Promise<string> {
  const script =
    'ip -o link | cut -d: -f2; ip rule; ip -6 rule; ip route show table all; ls /run/wireguard; ps -A -o comm= | grep wireguard | sort'
  return (await node.exec('sh', ['-c', `${script}; true`])).stdout
}

async function write(node: LabNode, text: string): Promise<void> {
  const script = 'umask 077; mkdir -p /etc/wireguard; cat >/etc/wireguard/wg0.conf'
  await node.exec('sh', ['-ec', script], { input: text })
}

function configuration(keys: KeyPair, peer: Buffer, endpoint: string, allowed: string): string {
  return `[Interface]
PrivateKey = ${keys.privateKey.toString('base64')}
Address = ${INNER.a.v4}/24, ${INNER.a.v6}/64
ListenPort = 1111
MTU = 1380
PostUp = true

[Peer]
PublicKey = ${peer.toString('base64')}
AllowedIPs = ${allowed}
Endpoint = ${endpoint}
PersistentKeepalive = 25
`
}
