import { RopewalkError } from '@ropewalk/shared/errors'
import { type Service, serviceSchema } from '@ropewalk/shared/policy'

/** Most services that one node exposes; its record has room for no more. */
const MAX_SERVICES = 32

const WELL_KNOWN: Readonly<Record<string, number>> = { ssh: 22 }

/** What this node exposes to members. */
export interface Services {
  list(): readonly Service[]
  /** @throws RopewalkError `conflict` when the name or the port is taken by another, `limit-reached` */
  expose(service: Service): void
  /** @throws RopewalkError `not-found` */
  unexpose(name: string): void
  /** Calls back after every change; gives the way to stop it. */
  onChange(listener: () => void): () => void
}

/** The registry, with what was exposed before. */
export function createServices(initial: readonly Service[] = []): Services {
  const services = new Map(initial.map((service) => [service.name, service]))
  const listeners = new Set<() => void>()
  const changed = (): void => {
    for (const listener of listeners) listener()
  }
  return {
    list: () => [...services.values()],
    expose(service) {
      const clash = [...services.values()].find(
        (other) => other.name !== service.name && other.port === service.port && other.protocol === service.protocol,
      )
      if (clash !== undefined) {
        throw new RopewalkError('conflict', `Port ${service.port} is exposed as ${clash.name} already`, {
          hint: `ropewalk unexpose ${clash.name}`,
        })
      }
      if (!services.has(service.name) && services.size >= MAX_SERVICES) {
        throw new RopewalkError('limit-reached', `A node exposes at most ${MAX_SERVICES} services`)
      }
      services.set(service.name, service)
      changed()
    },
    unexpose(name) {
      if (!services.delete(name)) throw new RopewalkError('not-found', `Nothing is exposed as ${name}`)
      changed()
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

/**
 * `jupyter=8888`, or a well-known name alone (`ssh`). @throws RopewalkError `bad-usage`
 */
export function parseExpose(text: string, options: { readonly http?: boolean; readonly udp?: boolean } = {}): Service {
  const [name = '', port, ...more] = text.split('=')
  const number = port === undefined ? WELL_KNOWN[name] : /^\d{1,5}$/.test(port) ? Number(port) : undefined
  const parsed = serviceSchema.safeParse({
    name,
    port: number,
    protocol: options.udp === true ? 'udp' : 'tcp',
    http: options.http ?? false,
  })
  if (parsed.success && more.length === 0) return parsed.data
  throw new RopewalkError('bad-usage', `“${text.slice(0, 60)}” names no service`, {
    hint: 'write NAME=PORT, for example jupyter=8888; the target is always this machine’s loopback',
  })
}
