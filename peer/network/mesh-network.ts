import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, isIPv6, type Socket } from 'node:net'
import type { MeshAddresses } from '@ropewalk/shared/addressing'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { type Device, WireguardError } from 'node-wireguard'

const DIAL_TIMEOUT_MS = 10_000

export interface DialOptions {
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** Something that accepts connections until it is closed. */
export interface MeshListener {
  readonly port: number
  close(): Promise<void>
}

/** TCP and echo on mesh addresses, whichever stack carries them: the kernel's by a TUN, or the engine's without root. */
export interface MeshNetwork {
  /** @throws RopewalkError `target-refused`, `unreachable`, `timeout` */
  dial(address: string, port: number, options?: DialOptions): Promise<Socket>
  /** Accepts on both of this node's mesh addresses. @throws RopewalkError `address-in-use` */
  listen(port: number, onSocket: (socket: Socket) => void): Promise<MeshListener>
  /** One echo: the round trip in milliseconds. @throws RopewalkError `timeout`, `unreachable`, `missing-tool` */
  ping(address: string, options: { readonly timeoutMs: number }): Promise<number>
}

/** The network of a device; `own` are this node's mesh addresses. */
export function createMeshNetwork(device: Device, own: MeshAddresses): MeshNetwork {
  return device.backend === 'tun' ? new KernelNetwork(own) : new EngineNetwork(device)
}

class KernelNetwork implements MeshNetwork {
  readonly #own: MeshAddresses

  constructor(own: MeshAddresses) {
    this.#own = own
  }

  async dial(
    address: string,
    port: number,
    { timeoutMs = DIAL_TIMEOUT_MS, signal }: DialOptions = {},
  ): Promise<Socket> {
    signal?.throwIfAborted()
    const localAddress = isIPv6(address) ? this.#own.v6 : this.#own.v4
    const socket = connect({ host: address, port, localAddress, allowHalfOpen: true, noDelay: true })
    const stop = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal === undefined ? [] : [signal])])
    try {
      await once(socket, 'connect', { signal: stop })
      return socket
    } catch (error) {
      socket.destroy()
      throw dialError(stop.aborted ? stop.reason : error, address, port)
    }
  }

  async listen(port: number, onSocket: (socket: Socket) => void): Promise<MeshListener> {
    const servers = await Promise.all(
      [this.#own.v6, this.#own.v4].map(async (host) => {
        const server = createServer({ allowHalfOpen: true, noDelay: true }, onSocket)
        server.listen({ host, port, ipv6Only: isIPv6(host) })
        await once(server, 'listening')
        server.on('error', () => {})
        return server
      }),
    ).catch((error: unknown) => {
      throw toRopewalkError(error)
    })
    return {
      port,
      close: async () => {
        await Promise.all(servers.map((server) => new Promise<void>((done) => server.close(() => done()))))
      },
    }
  }

  /** The kernel's stack has no unprivileged echo for Node: the `ping` program of the system does it. */
  async ping(address: string, { timeoutMs }: { readonly timeoutMs: number }): Promise<number> {
    const seconds = Math.max(1, Math.ceil(timeoutMs / 1000))
    const child = spawn('ping', ['-n', '-c', '1', '-W', String(seconds), address], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
    const failed = once(child, 'error').then(([error]: unknown[]) => {
      throw new RopewalkError('missing-tool', 'The ping program could not be started', {
        hint: 'install iputils-ping',
        cause: error,
      })
    })
    await Promise.race([once(child, 'close'), failed])
    const rtt = /time=([\d.]+) ms/.exec(text)?.[1]
    if (rtt !== undefined) return Number(rtt)
    throw new RopewalkError('timeout', `${address} did not answer`)
  }
}

class EngineNetwork implements MeshNetwork {
  readonly #device: Device

  constructor(device: Device) {
    this.#device = device
  }

  async dial(address: string, port: number, options: DialOptions = {}): Promise<Socket> {
    try {
      return await this.#device.dial({ address, port, timeoutMs: DIAL_TIMEOUT_MS, ...options })
    } catch (error) {
      throw dialError(error, address, port)
    }
  }

  async listen(port: number, onSocket: (socket: Socket) => void): Promise<MeshListener> {
    try {
      const listener = await this.#device.listen({ port }, onSocket)
      return { port, close: async () => listener.close() }
    } catch (error) {
      throw engineError(error)
    }
  }

  async ping(address: string, { timeoutMs }: { readonly timeoutMs: number }): Promise<number> {
    try {
      return await this.#device.ping(address, { timeoutMs })
    } catch (error) {
      throw engineError(error)
    }
  }
}

function dialError(error: unknown, address: string, port: number): RopewalkError {
  const known = error instanceof WireguardError ? engineError(error) : toRopewalkError(error)
  const refused = error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED'
  const code = refused ? 'target-refused' : known.code
  return new RopewalkError(code, `${address} port ${port}: ${known.message}`, { hint: known.hint, cause: error })
}

/** The engine's codes in ours. */
function engineError(error: unknown): RopewalkError {
  if (!(error instanceof WireguardError)) return toRopewalkError(error)
  const codes = {
    ERR_WIREGUARD_REFUSED: 'target-refused',
    ERR_WIREGUARD_TIMED_OUT: 'timeout',
    ERR_WIREGUARD_UNREACHABLE: 'unreachable',
    ERR_WIREGUARD_NO_ADDRESS: 'unreachable',
    ERR_WIREGUARD_BUSY: 'limit-reached',
    ERR_WIREGUARD_ADDRESS_IN_USE: 'address-in-use',
    ERR_WIREGUARD_PERMISSION: 'permission-denied',
  } as const
  const code = Object.entries(codes).find(([name]) => name === error.code)?.[1] ?? 'engine-failed'
  return new RopewalkError(code, error.message, { hint: error.hint, cause: error })
}
