import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { MeshAddresses } from '@ropewalk/shared/addressing'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { type Device, listenOnDevice, WireguardError } from 'node-wireguard'
import { kernelMesh, type MeshNetwork, type MeshTarget } from '../tunnels/index.ts'

/** TCP and echo on mesh addresses, whichever stack carries them: the kernel's by a TUN, or the engine's without root. */
export interface EchoNetwork extends MeshNetwork {
  /** One echo: the round trip in milliseconds. @throws RopewalkError `timeout`, `unreachable`, `missing-tool` */
  ping(address: string, options: { readonly timeoutMs: number }): Promise<number>
}

/** The network of a device; `own` are this node's mesh addresses, `tunName` its TUN where it has one. */
export function createMeshNetwork(device: Device, own: MeshAddresses, tunName: string): EchoNetwork {
  return device.backend === 'tun' ? new KernelNetwork(own, tunName) : new EngineNetwork(device)
}

class KernelNetwork implements EchoNetwork {
  readonly isKernels = true
  readonly #tcp: MeshNetwork

  constructor(own: MeshAddresses, tunName: string) {
    this.#tcp = kernelMesh([own.v6, own.v4], { device: tunName, listenOn: listenOnKernelDevice })
  }

  dial(target: MeshTarget): Promise<Socket> {
    return this.#tcp.dial(target)
  }

  listen(port: number, onSocket: (socket: Socket) => void): Promise<{ close(): void }> {
    return this.#tcp.listen(port, onSocket)
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

class EngineNetwork implements EchoNetwork {
  readonly isKernels: boolean
  readonly #device: Device

  constructor(device: Device) {
    this.#device = device
    this.isKernels = device.backend !== 'netstack'
  }

  async dial(target: MeshTarget): Promise<Socket> {
    try {
      return await this.#device.dial(target)
    } catch (error) {
      throw engineError(error)
    }
  }

  async listen(port: number, onSocket: (socket: Socket) => void): Promise<{ close(): void }> {
    try {
      return await this.#device.listen({ port }, onSocket)
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

function listenOnKernelDevice(device: string, at: { readonly address: string; readonly port: number }): number {
  try {
    return listenOnDevice(device, at)
  } catch (error) {
    throw engineError(error)
  }
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
