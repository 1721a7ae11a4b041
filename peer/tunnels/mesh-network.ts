import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'

/** Where a mesh connection is dialled to. */
export interface MeshTarget {
  readonly address: string
  readonly port: number
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/** TCP over the mesh: the kernel's where the engine has a TUN, the engine's own where it is rootless. */
export interface MeshNetwork {
  /** Its sockets are the kernel's, which carry a reset by themselves. */
  readonly isKernels: boolean
  /** @throws RopewalkError `unreachable`, `timeout` */
  dial(target: MeshTarget): Promise<Socket>
  /** Listens on this node's mesh addresses. @throws RopewalkError `address-in-use` */
  listen(port: number, onSocket: (socket: Socket) => void): Promise<{ close(): void }>
}

/** Makes a descriptor that listens there and takes nothing that came by another device. */
export type ListenOnDevice = (device: string, at: { readonly address: string; readonly port: number }) => number

/** What ties sockets to the mesh's device. */
export interface KernelMeshOptions {
  readonly device: string
  readonly listenOn: ListenOnDevice
}

/**
 * The mesh as the kernel sees it: ordinary sockets on the addresses of our TUN. With `tied`, what listens there answers
 * only what came by the TUN, or from this machine itself by loopback: a mesh address can be reached, and a member's be
 * forged, from a LAN otherwise.
 */
export function kernelMesh(addresses: readonly string[], tied?: KernelMeshOptions): MeshNetwork {
  const places = addresses.flatMap((address): readonly Place[] =>
    tied === undefined
      ? [{ host: address }]
      : [tied.device, 'lo'].map((device) => ({ address, device, listen: tied.listenOn })),
  )
  return {
    isKernels: true,
    dial: dialKernel,
    async listen(port, onSocket) {
      const servers: Server[] = []
      try {
        for (const place of places) servers.push(await listenKernel(place, port, onSocket))
      } catch (error) {
        for (const server of servers) server.close()
        throw toRopewalkError(error)
      }
      return {
        close() {
          for (const server of servers) server.close()
        },
      }
    },
  }
}

function dialKernel({ address, port, timeoutMs, signal }: MeshTarget): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true })
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    const fail = (error: unknown): void => {
      limit.removeEventListener('abort', aborted)
      socket.on('error', () => undefined)
      socket.destroy()
      const known = toRopewalkError(error)
      reject(known.code === 'internal' ? new RopewalkError('unreachable', known.message, { cause: error }) : known)
    }
    const aborted = (): void => fail(limit.reason)
    if (limit.aborted) {
      aborted()
      return
    }
    limit.addEventListener('abort', aborted, { once: true })
    socket.once('error', fail)
    socket.once('connect', () => {
      limit.removeEventListener('abort', aborted)
      socket.off('error', fail)
      socket.on('error', () => undefined)
      resolve(socket)
    })
  })
}

type Place =
  | { readonly host: string }
  | { readonly address: string; readonly device: string; readonly listen: ListenOnDevice }

async function listenKernel(place: Place, port: number, onSocket: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => undefined)
    onSocket(socket)
  })
  server.listen(
    'host' in place ? { ...place, port } : { fd: place.listen(place.device, { address: place.address, port }) },
  )
  await once(server, 'listening')
  server.on('error', () => undefined)
  return server
}
