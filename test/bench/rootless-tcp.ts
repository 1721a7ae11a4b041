import { join } from 'node:path'
import type { InterfaceOptions } from 'node-wireguard'
import { type LabNode, up } from '../lab/index.ts'
import { DEVICE, makeKeyPair } from '../wireguard/index.ts'
import type { Bench, Entrant, Round } from './bench.ts'
import type { StreamEnd } from './stream-end.ts'

const PROGRAM = join(import.meta.dirname, 'programs', 'stream-end.ts')
const PORT = 51820
const SECONDS = 3
const USERNS = 'userns'
const NETSTACK = 'netstack'
const BACKENDS = { [USERNS]: 'namespace', [NETSTACK]: 'netstack' } as const

/** One stream between two hosts, each with a device of ours; Gbit/s that arrived. */
async function stream(name: string, interfaceFor: (address: string) => InterfaceOptions): Promise<number> {
  await using world = await up('two-hosts')
  const ends = [world.node('a'), world.node('b')].map((node, index) => {
    return { node, keys: makeKeyPair(), address: `10.98.0.${index + 1}` }
  })
  const [a, b] = ends
  if (a === undefined || b === undefined) throw new Error('a stream has two ends')
  const start = (own: typeof a, other: typeof a, sendSeconds?: number) => {
    const settings: StreamEnd = {
      privateKey: own.keys.privateKey.toString('base64'),
      interface: interfaceFor(`${own.address}/24`),
      address: own.address,
      remoteAddress: other.address,
      peer: {
        publicKey: other.keys.publicKey.toString('base64'),
        allowedIps: [`${other.address}/32`],
        endpoint: { address: other.node.address, port: PORT },
      },
      ...(sendSeconds === undefined ? {} : { sendSeconds }),
    }
    return run(own.node, settings)
  }
  const receiver = start(b, a)
  await receiver.says(new RegExp(`listening by ${name}`))
  const sender = start(a, b, SECONDS)
  const failed = sender.ended.then(({ code }) => {
    throw new Error(`the sender ended with ${code}: ${sender.output()}`)
  })
  const [, bytes, time] = await Promise.race([receiver.says(/(\d+) bytes .* copied, ([\d.]+) s/), failed])
  failed.catch(() => {})
  await sender.stop()
  return (Number(bytes) * 8) / Number(time) / 1e9
}

function run(node: LabNode, settings: StreamEnd) {
  return node.spawn(process.execPath, [PROGRAM, JSON.stringify(settings)])
}

function rootless(backend: 'namespace' | 'netstack') {
  return stream(backend, (address) => ({ rootless: { addresses: [address], backend } }))
}

async function tun(): Promise<Round> {
  const value = await stream('tun', (address) => ({ tun: { name: DEVICE, addresses: [address] } }))
  return { [USERNS]: { value }, [NETSTACK]: { value } }
}

async function entrants(): Promise<Entrant[]> {
  const ours = async () => ({
    [USERNS]: { value: await rootless(BACKENDS[USERNS]) },
    [NETSTACK]: { value: await rootless(BACKENDS[NETSTACK]) },
  })
  return [
    { name: 'ours', version: '', measure: ours },
    { name: 'our-tun', version: '', measure: tun },
  ]
}

/** What it costs to have no root: streams of the rootless backends beside the same through a kernel TUN. */
export const rootlessTcp: Bench = {
  name: 'rootless-tcp',
  about: 'one TCP stream without root, by a private namespace and by the own stack, beside our own TUN',
  unit: 'Gbit/s',
  cases: [USERNS, NETSTACK],
  notes: [`${SECONDS} s of zeros from dd to dd, each end a process with a device; what arrived`],
  entrants,
}
