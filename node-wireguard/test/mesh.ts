import {
  Device,
  type DeviceEvent,
  type Endpoint,
  type FilterRule,
  generatePrivateKey,
  publicKeyOf,
  WireguardError,
} from '../index.ts'

/** A rootless device with everything that a test asks of it. */
export type Member = {
  device: Device
  publicKey: Uint8Array
  v4: string
  v6: string
  endpoint: Endpoint
  /** Everything that it has told so far. */
  told: DeviceEvent[]
  /** Waits until it has told something like this. */
  until(matches: (event: DeviceEvent) => boolean): Promise<DeviceEvent>
}

export type Backend = 'namespace' | 'netstack'

const ALL: FilterRule[] = [{ protocol: 'tcp' }, { protocol: 'udp' }]

/** Opens a device on loopback; undefined, with one loud line, where this machine allows no private namespace. */
export async function member(number: number, backend: Backend, allow = ALL): Promise<Member | undefined> {
  const privateKey = generatePrivateKey()
  const [v4, v6] = [`10.77.0.${number}`, `fd77::${number}`]
  const options = {
    privateKey,
    listen: [{ address: '127.0.0.1', port: 0 }],
    interface: { rootless: { backend, addresses: [`${v4}/24`, `${v6}/64`] } },
  }
  const device = await Device.open(options).catch((error: unknown) => {
    if (!(error instanceof WireguardError) || error.code !== 'ERR_WIREGUARD_NAMESPACE_FORBIDDEN') throw error
    console.warn(`SKIPPED: the namespace backend needs user namespaces (${error.message})`)
  })
  if (device === undefined) return undefined
  device.setFilter({ allow })
  const [socket] = device.sockets
  if (socket === undefined) throw new Error('a device without a socket')
  const endpoint = { address: socket.address, port: socket.port }
  return { device, publicKey: publicKeyOf(privateKey), v4, v6, endpoint, ...listen(device) }
}

function listen(device: Device): Pick<Member, 'told' | 'until'> {
  const told: DeviceEvent[] = []
  const waiting = new Set<() => void>()
  const read = async () => {
    for await (const batch of device.events) {
      told.push(...batch)
      for (const look of waiting) look()
    }
  }
  void read()
  const until = (matches: (event: DeviceEvent) => boolean) =>
    new Promise<DeviceEvent>((resolve) => {
      const look = () => {
        const found = told.find(matches)
        if (found === undefined) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
    })
  return { told, until }
}

/** Makes `far` a peer of `near`. */
export function introduce(near: Member, far: Member): void {
  near.device.updatePeers([{ publicKey: far.publicKey, allowedIps: [`${far.v4}/32`, `${far.v6}/128`] }])
}

/** Two members of one mesh with a direct path between them. */
export async function pair(backend: Backend): Promise<[Member, Member] | undefined> {
  const a = await member(1, backend)
  const b = await member(2, backend)
  if (a === undefined || b === undefined) return undefined
  for (const [near, far] of [
    [a, b],
    [b, a],
  ] as const) {
    introduce(near, far)
    near.device.updatePaths(far.publicKey, [{ id: 1, local: 0, remote: far.endpoint, costClass: 0 }])
  }
  return [a, b]
}

/** The stable code of what a call throws or rejects with. */
export async function codeOf(call: () => unknown): Promise<string | undefined> {
  try {
    await call()
  } catch (error) {
    return error instanceof WireguardError ? error.code : `not ours: ${error}`
  }
  return undefined
}
