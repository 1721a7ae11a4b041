import type { NetworkInterfaceInfo } from 'node:os'

/** One address of this machine that packets of the mesh may leave from. */
export interface LocalAddress {
  readonly address: string
  readonly family: 4 | 6
  readonly interfaceName: string
}

export interface LocalAddressOptions {
  /** Only these interfaces, loopback among them if it is named; all usable ones when absent. */
  readonly only?: readonly string[] | undefined
  /** Never these: the mesh's own interface. */
  readonly except: readonly string[]
}

/** Bridges of container runtimes: nobody outside this machine can reach them, and every probe to them is wasted. */
const VIRTUAL = /^(docker|virbr|cni|flannel|cali|lxcbr|br-[0-9a-f]{12}$)/

/**
 * The addresses that another member may be able to send to: no loopback, no link-local (IPv4 or IPv6), no container bridge,
 * no temporary duplicate. Stable order: interface name, then IPv6 before IPv4.
 */
export function localAddresses(
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>,
  options: LocalAddressOptions,
): LocalAddress[] {
  const found: LocalAddress[] = []
  for (const [interfaceName, infos] of Object.entries(interfaces)) {
    if (options.except.includes(interfaceName)) continue
    const named = options.only?.includes(interfaceName)
    if (named === false || (named === undefined && VIRTUAL.test(interfaceName))) continue
    for (const info of infos ?? []) {
      if (info.internal && named !== true) continue
      if (isLinkLocal(info.address)) continue
      found.push({ address: info.address, family: info.family === 'IPv6' ? 6 : 4, interfaceName })
    }
  }
  return found.sort(
    (a, b) =>
      a.interfaceName.localeCompare(b.interfaceName) || b.family - a.family || a.address.localeCompare(b.address),
  )
}

function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(address) || address.startsWith('169.254.')
}

/** Whether an address is loopback, so that it means something on this machine only. */
export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.')
}
