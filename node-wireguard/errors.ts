/**
 * Every failure of this package has one of these codes.
 *
 * | code (after `ERR_WIREGUARD_`) | what it means |
 * |---|---|
 * | `ENGINE_MISSING` | no engine for this platform is installed, or it does not load |
 * | `INVALID_ARGUMENT` | an option or argument cannot be; the message says which and why |
 * | `CLOSED` | the device, forwarder or listener is closed |
 * | `FAILED` | a thread of the engine has panicked or failed for good |
 * | `PERMISSION` | the kernel wants more rights (a TUN without CAP_NET_ADMIN) |
 * | `ADDRESS_IN_USE` | another socket holds that address and port |
 * | `IO` | the kernel refused something else; the message has its words |
 * | `UNSUPPORTED` | this machine or this kind of device cannot do it; the message says what can |
 * | `UNKNOWN_PEER` | no peer has this key |
 * | `TOO_MANY` | a table of the engine is full |
 * | `SLOT_TAKEN` | another session of the forwarder has this slot |
 * | `NOT_ROOTLESS` | this device has a kernel interface: use the kernel's sockets |
 * | `NAMESPACE_FORBIDDEN` | this machine allows no private namespace |
 * | `REFUSED` | nobody listens there |
 * | `TIMED_OUT` | no answer in time |
 * | `UNREACHABLE` | no route, or a router said no |
 * | `NO_ADDRESS` | this device has no such address, or none of that family |
 * | `TOO_BIG` | the datagram does not fit |
 * | `BUSY` | too many streams or requests at once |
 */
export type WireguardErrorCode =
  | 'ERR_WIREGUARD_ENGINE_MISSING'
  | 'ERR_WIREGUARD_INVALID_ARGUMENT'
  | 'ERR_WIREGUARD_CLOSED'
  | 'ERR_WIREGUARD_FAILED'
  | 'ERR_WIREGUARD_PERMISSION'
  | 'ERR_WIREGUARD_ADDRESS_IN_USE'
  | 'ERR_WIREGUARD_IO'
  | 'ERR_WIREGUARD_UNSUPPORTED'
  | 'ERR_WIREGUARD_UNKNOWN_PEER'
  | 'ERR_WIREGUARD_TOO_MANY'
  | 'ERR_WIREGUARD_SLOT_TAKEN'
  | 'ERR_WIREGUARD_NOT_ROOTLESS'
  | 'ERR_WIREGUARD_NAMESPACE_FORBIDDEN'
  | 'ERR_WIREGUARD_REFUSED'
  | 'ERR_WIREGUARD_TIMED_OUT'
  | 'ERR_WIREGUARD_UNREACHABLE'
  | 'ERR_WIREGUARD_NO_ADDRESS'
  | 'ERR_WIREGUARD_TOO_BIG'
  | 'ERR_WIREGUARD_BUSY'

const HINTS: Partial<Record<WireguardErrorCode, string>> = {
  ERR_WIREGUARD_ENGINE_MISSING:
    'npm install without --omit=optional; or build it (needs Rust 1.89): npm rebuild node-wireguard',
  ERR_WIREGUARD_PERMISSION: 'run as root or with CAP_NET_ADMIN, or open the device with `interface: { rootless: … }`',
  ERR_WIREGUARD_ADDRESS_IN_USE: 'choose another port, or 0 for any free one',
  ERR_WIREGUARD_FAILED: 'this is a fault of the engine: close the device, open another, and report the message',
  ERR_WIREGUARD_NAMESPACE_FORBIDDEN: "open the device with `backend: 'netstack'`",
  ERR_WIREGUARD_NOT_ROOTLESS: "use the kernel's own sockets: a TUN device is an interface of this machine",
  ERR_WIREGUARD_UNSUPPORTED: 'open the device with `interface: { tun: … }`: the engine itself can do it',
  ERR_WIREGUARD_UNKNOWN_PEER: 'add the peer by updatePeers first',
}

/** What this package throws and rejects with. `code` is stable; `hint`, where there is one, says the next step. */
export class WireguardError extends Error {
  readonly code: WireguardErrorCode
  readonly hint: string | undefined

  constructor(code: WireguardErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'WireguardError'
    this.code = code
    this.hint = HINTS[code]
  }
}

/** The engine's errors come as `CODE\nmessage`; what N-API itself refuses is a wrong argument. */
export function translate(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof WireguardError) return error
  const [, code, message] = /^(ERR_WIREGUARD_[A-Z_]+)\n(.*)$/s.exec(error.message) ?? []
  if (code !== undefined && message !== undefined) return new WireguardError(code as WireguardErrorCode, message)
  const status = 'code' in error ? error.code : undefined
  const refused = typeof status === 'string' && (status === 'InvalidArg' || status.endsWith('Expected'))
  if (refused || error instanceof TypeError) {
    return new WireguardError('ERR_WIREGUARD_INVALID_ARGUMENT', error.message, { cause: error })
  }
  return new WireguardError('ERR_WIREGUARD_FAILED', error.message, { cause: error })
}

/** Runs a call into the engine; what it throws is a {@link WireguardError}. */
export function calling<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw translate(error)
  }
}

/** The same for a call that answers later. */
export async function awaiting<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw translate(error)
  }
}
