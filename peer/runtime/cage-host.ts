import { RopewalkError } from '@ropewalk/shared/errors'
import type { Cages } from './cage/index.ts'
import type { Host, Start, Started } from './desk/index.ts'
import { findRuntime, type Runtime } from './install/index.ts'
import { awaitRay, type RayNode, rayCommand, rayEnvironment } from './ray/index.ts'

export interface CageHostOptions {
  /** Where the virtual environment is, see `runtimeFolder`. */
  readonly folder: string
  /** The mesh's interface and this node's addresses on it; absent where this machine has none. */
  readonly mesh?: { readonly interface: string; readonly v4: string; readonly v6: string } | undefined
}

/** Runs Ray for leases, each in a cage of its own. */
export function createCageHost({ folder, mesh }: CageHostOptions, cages: Cages): Host {
  const installed = async (): Promise<Runtime> => {
    const runtime = await findRuntime(folder)
    if (runtime !== undefined) return runtime
    throw new RopewalkError('runtime-missing', 'Ray is not installed on that worker', {
      hint: 'ropewalk runtime install, there',
    })
  }
  return {
    async check() {
      if (mesh === undefined) {
        return new RopewalkError('unsupported', 'That worker has no interface for Ray: it runs rootless', {
          hint: 'sudo ropewalk up, there',
        })
      }
      try {
        await installed()
      } catch (error) {
        if (error instanceof RopewalkError) return error
        throw error
      }
      return await cages.check()
    },
    async start({ lease, ports, gpus, token, head }: Start, signal): Promise<Started> {
      if (mesh === undefined) throw new RopewalkError('unsupported')
      const { devices } = lease
      const node: RayNode = { role: head === undefined ? 'head' : 'worker', address: mesh.v4, ports, head, devices }
      const about = { token, interface: mesh.interface, address: mesh.v4, ports, gpus: gpus.length }
      const cage = await cages.open(
        {
          id: lease.id,
          command: rayCommand(node),
          env: rayEnvironment(about),
          runtime: (await installed()).folder,
          devices: { ...devices, gpus },
          ports,
          mesh: { interface: mesh.interface, addresses: [mesh.v4, mesh.v6] },
        },
        { signal },
      )
      return {
        ready: awaitRay(cage, node, { signal }),
        ended: cage.ended,
        ownPorts: () => cage.ownPorts(),
        stop: () => cage.stop(),
      }
    },
  }
}
