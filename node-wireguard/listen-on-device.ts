import { calling } from './errors.ts'
import { native } from './native.ts'
import type { Endpoint } from './options.ts'

/**
 * A TCP socket of the kernel that listens on one address and takes only what came by one device (SO_BINDTODEVICE), for
 * `server.listen({ fd })`. Linux answers for its addresses on every device; this one does not.
 * @throws {WireguardError} `INVALID_ARGUMENT`, `ADDRESS_IN_USE`, `NO_ADDRESS`, `PERMISSION`, `IO` (no such device)
 */
export function listenOnDevice(device: string, at: Endpoint): number {
  return calling(() => native().listenOnDevice(device, at))
}
