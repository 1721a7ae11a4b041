import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { isRopewalkError, RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Service } from '@ropewalk/shared/policy'
import { MESH_STREAM_PORT } from '@ropewalk/shared/tunnel'
import { breakOff } from './break-off.ts'
import type { MeshNetwork } from './mesh-network.ts'
import { memberAt, type ProxiedDependencies, proxy } from './proxied.ts'
import type { Reception } from './reception.ts'

/** Most connections through the door at once. */
const MAX_CONNECTIONS = 2000

/** What the door needs of the peer. */
export interface MeshDoorDependencies extends ProxiedDependencies {
  readonly mesh: MeshNetwork
  readonly reception: Reception
}

/**
 * This node's services on its mesh addresses: each exposed TCP port by itself, for members' addresses only; and the stream
 * port, where visitors speak the inner protocol and the reception decides as for tunnels.
 */
export interface MeshDoor extends Startable {
  /** Exposed ports that could not be opened here, by service name: most often the service itself listens there. */
  readonly closed: ReadonlyMap<string, RopewalkError>
}

/** The door; it follows what is exposed. */
export function createMeshDoor(dependencies: MeshDoorDependencies): MeshDoor {
  return new Door(dependencies)
}

interface Listener {
  close(): void
}

class Door implements MeshDoor {
  readonly closed = new Map<string, RopewalkError>()
  readonly #with: MeshDoorDependencies
  readonly #stopped = new AbortController()
  readonly #sockets = new Set<Socket>()
  readonly #ports = new Map<number, Listener>()
  readonly #life: Startable
  #unwatch: () => void = () => undefined
  #stream: Listener | undefined
  #following: Promise<void> = Promise.resolve()

  constructor(dependencies: MeshDoorDependencies) {
    this.#with = dependencies
    this.#life = startable({
      start: async () => {
        const { mesh, services } = this.#with
        this.#stream = await mesh.listen(MESH_STREAM_PORT, (socket) => this.#receive(socket))
        this.#unwatch = services.onChange(() => this.#follow())
        this.#follow()
        await this.#following
      },
      stop: async () => {
        this.#unwatch()
        this.#stopped.abort(new RopewalkError('aborted'))
        await this.#following
        this.#stream?.close()
        for (const listener of this.#ports.values()) listener.close()
        for (const socket of this.#sockets) breakOff(socket)
      },
    })
  }

  start(): Promise<void> {
    return this.#life.start()
  }

  stop(): Promise<void> {
    return this.#life.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#life.stop()
  }

  /** One change after the other, so that two of them never open the same port. */
  #follow(): void {
    this.#following = this.#following.then(() => this.#update())
  }

  async #update(): Promise<void> {
    const wanted = new Map(
      this.#with.services.list().flatMap((one) => (one.protocol === 'tcp' ? [[one.port, one]] : [])),
    )
    for (const [port, listener] of this.#ports) {
      if (wanted.has(port)) continue
      listener.close()
      this.#ports.delete(port)
    }
    for (const [port, service] of wanted) {
      if (!this.#ports.has(port) && !this.#stopped.signal.aborted) await this.#open(service)
    }
  }

  async #open(service: Service): Promise<void> {
    const { mesh, logger } = this.#with
    try {
      const listener = await mesh.listen(service.port, (socket) => this.#proxy(socket, service))
      this.#ports.set(service.port, listener)
      this.closed.delete(service.name)
    } catch (error) {
      const reason = toRopewalkError(error)
      this.closed.set(service.name, reason)
      // a service that listens on every address is on the mesh without us
      const log = isRopewalkError(reason, 'address-in-use') ? logger.debug : logger.warn
      log('mesh port not opened', { service: service.name, port: service.port, code: reason.code })
    }
  }

  #admit(socket: Socket): boolean {
    if (this.#sockets.size >= MAX_CONNECTIONS || this.#stopped.signal.aborted) {
      breakOff(socket)
      return false
    }
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    return true
  }

  #receive(socket: Socket): void {
    if (!this.#admit(socket)) return
    // the inner proof decides; strangers on the LAN, who reach this address around the mesh, are not even asked for it
    if (memberAt(this.#with.members, socket) === undefined) {
      breakOff(socket)
      return
    }
    const id = randomBytes(16).toString('hex')
    void this.#with.reception.receive(socket, { id, via: 'mesh', signal: this.#stopped.signal })
  }

  #proxy(socket: Socket, service: Service): void {
    const { isKernels } = this.#with.mesh
    if (this.#admit(socket)) proxy({ socket, isKernels }, service, this.#stopped.signal, this.#with)
  }
}
