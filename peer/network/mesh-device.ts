import { type MeshAddresses, networkPrefix6, type Prefix, prefixParts } from '@ropewalk/shared/addressing'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { NetworkId, WireguardKeys } from '@ropewalk/shared/identity'
import type { Logger } from '@ropewalk/shared/logger'
import { Device, type DeviceOptions, WireguardError } from 'node-wireguard'

/** Fits an IPv6 underlay and the forwarder's header into a path of 1,500 bytes. */
export const MESH_MTU = 1408

export interface MeshDeviceOptions {
  readonly wireguardKeys: WireguardKeys
  readonly network: { readonly id: NetworkId; readonly ipv4Prefix: Prefix }
  readonly addresses: MeshAddresses
  readonly listenPort: number
  /** Without root: no interface of this machine is touched. */
  readonly rootless: boolean
  readonly tunName: string
  /** Only loopback is spoken to: bind there and nowhere else. */
  readonly loopbackOnly: boolean
}

/**
 * Opens the engine for this node. Without IPv6 on this machine only IPv4 is bound; the port is the same for both families.
 * @throws RopewalkError `permission-denied`, `address-in-use`, `engine-failed`, each with a next step
 */
export async function openMeshDevice(options: MeshDeviceOptions, logger: Logger): Promise<Device> {
  const { v6, v4 } = options.addresses
  const addresses = [
    `${v6}/${prefixParts(networkPrefix6(options.network.id)).length}`,
    `${v4}/${prefixParts(options.network.ipv4Prefix).length}`,
  ]
  const face: DeviceOptions['interface'] = options.rootless
    ? { rootless: { mtu: MESH_MTU, addresses } }
    : { tun: { name: options.tunName, mtu: MESH_MTU, addresses } }
  const [any4, any6] = options.loopbackOnly ? ['127.0.0.1', '::1'] : ['0.0.0.0', '::']
  const both = [
    { address: any4, port: options.listenPort },
    { address: any6, port: options.listenPort },
  ]
  const open = (listen: DeviceOptions['listen']) =>
    Device.open({ privateKey: options.wireguardKeys.exportPrivateKey(), listen, interface: face })
  try {
    const device = await open(both).catch((error: unknown) => {
      if (!isFamilyMissing(error)) throw error
      logger.warn('this machine has no IPv6: the mesh uses IPv4 only')
      return open(both.slice(0, 1))
    })
    if (device.fallback !== undefined)
      logger.info('no private namespace here: the engine carries TCP itself', { why: device.fallback })
    return device
  } catch (error) {
    throw openError(error, options)
  }
}

function isFamilyMissing(error: unknown): boolean {
  return error instanceof WireguardError && /family not supported|cannot assign requested address/i.test(error.message)
}

function openError(error: unknown, { tunName, listenPort }: MeshDeviceOptions): RopewalkError {
  if (!(error instanceof WireguardError)) throw error
  if (error.code === 'ERR_WIREGUARD_PERMISSION') {
    return new RopewalkError('permission-denied', `The interface ${tunName} cannot be made: ${error.message}`, {
      hint: 'run as root, give the process CAP_NET_ADMIN and /dev/net/tun, or add --rootless',
      cause: error,
    })
  }
  if (error.code === 'ERR_WIREGUARD_ADDRESS_IN_USE') {
    return new RopewalkError(
      'address-in-use',
      `UDP port ${listenPort} or the interface ${tunName} is taken: ${error.message}`,
      {
        hint: 'choose another with --listen-port or --tun-name',
        cause: error,
      },
    )
  }
  return new RopewalkError('engine-failed', error.message, { hint: error.hint, cause: error })
}
