import { join } from 'node:path'
import type { DeviceEvent } from 'node-wireguard'
import { Caller, type SentStatus } from './caller.ts'
import type { DeviceCall, DeviceSettings } from './device-call.ts'
import { DEVICE, type End, type EndOptions, type Remote } from './end.ts'

/** Our device as it comes, its filter open, so that another's tools can be used through it. */
export interface OurOptions extends EndOptions {
  /** Take every peer for another implementation: no probes, one path, classic roaming. */
  readonly vanilla: boolean
  /** Let `wg` find it. */
  readonly uapi?: boolean
  /** The network device that its sockets are tied to. */
  readonly bindInterface?: string
  readonly threads?: number
}

/** An end that can say which ways it knows, and what it has counted. */
export interface OurEnd extends End {
  /** UDP payload of authentic messages. */
  bytes(publicKey: Buffer): Promise<{ readonly rxBytes: number; readonly txBytes: number }>
  /** The device's own words of `device.counters`. */
  counters(): Promise<readonly number[]>
  /** Another mark of its packets. */
  setFwmark(mark: number): Promise<void>
  paths(publicKey: Buffer): Promise<SentStatus['peers'][number]['paths']>
  /** What happened, oldest first. */
  readonly events: readonly DeviceEvent[]
}

const PROGRAM = join(import.meta.dirname, 'programs', 'device.ts')
const EVERYTHING = { allow: [{ protocol: 'tcp' as const }, { protocol: 'udp' as const }] }

/** Starts our device in a process of its own, on a kernel TUN. */
export async function startOurs(options: OurOptions): Promise<OurEnd> {
  const { node, keys, addresses, listenPort, mtu } = options
  const process_ = node.spawn(process.execPath, [PROGRAM], { stdio: ['pipe', 'pipe', 'pipe'] })
  const device = new Caller(process_)
  const settings: DeviceSettings = {
    privateKey: keys.privateKey.toString('base64'),
    listen: [
      { address: '0.0.0.0', port: listenPort },
      { address: '::', port: listenPort },
    ],
    ...(options.uapi === undefined ? {} : { uapi: options.uapi }),
    ...(options.bindInterface === undefined ? {} : { bindInterface: options.bindInterface }),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    interface: { tun: { name: DEVICE, addresses: [...addresses], ...(mtu === undefined ? {} : { mtu }) } },
  }
  await device.open(settings)
  await device.call({ type: 'filter', filter: EVERYTHING })
  const peer = async (publicKey: Buffer) => {
    const key = publicKey.toString('base64')
    return (await device.status()).peers.find((each) => each.publicKey === key)
  }
  return {
    node,
    process: process_,
    publicKey: keys.publicKey,
    address: addresses[0]?.replace(/\/.*/, '') ?? '',
    setPeer: async (remote) => void (await device.call(peerCall(remote, options.vanilla))),
    handshakeAge: async (publicKey) => {
      const age = (await peer(publicKey))?.lastHandshakeMs
      return age === undefined ? null : age / 1000
    },
    endpointOf: async (publicKey) => {
      const path = (await peer(publicKey))?.paths.find((each) => each.active)
      return path === undefined ? null : `${path.remote.address}:${path.remote.port}`
    },
    bytes: async (publicKey) => {
      const { rxBytes = 0, txBytes = 0 } = (await peer(publicKey)) ?? {}
      return { rxBytes, txBytes }
    },
    counters: () => device.counters(),
    setFwmark: async (mark) => void (await device.call({ type: 'fwmark', mark })),
    paths: async (publicKey) => (await peer(publicKey))?.paths ?? [],
    events: device.events,
    stop: async () => void (await process_.stop()),
  }
}

function peerCall(remote: Remote, vanilla: boolean): DeviceCall {
  const { publicKey, allowedIps, endpoint, presharedKey, keepaliveSeconds } = remote
  const local = endpoint?.address.includes(':') ? 1 : 0
  const direct = vanilla || endpoint === undefined ? [] : [{ id: 1, local, remote: endpoint, costClass: 0 }]
  return {
    type: 'peer',
    peer: {
      publicKey: publicKey.toString('base64'),
      allowedIps: [...allowedIps],
      vanilla,
      ...(presharedKey === undefined ? {} : { presharedKey: presharedKey.toString('base64') }),
      ...(keepaliveSeconds === undefined ? {} : { keepaliveSeconds }),
      ...(vanilla && endpoint !== undefined ? { endpoint } : {}),
    },
    paths: remote.paths ?? direct,
  }
}
