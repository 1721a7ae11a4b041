import { readFile } from 'node:fs/promises'
import type { MeshAddresses } from '@ropewalk/shared/addressing'
import { createStack, type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import { createResolvConf, originalResolvConf, ownsResolvConf } from './resolv-conf.ts'
import { createResolver } from './resolver.ts'
import { askUpstream, nameserversOf } from './upstream.ts'
import { type Directory, Zone } from './zone.ts'

const RESOLV_CONF = '/etc/resolv.conf'
const DNS_PORT = 53

export interface NamesOptions {
  /** The network's name: the zone is `<network>.internal`. */
  readonly network: string
  readonly addresses: MeshAddresses
  /** `auto` hooks into resolv.conf only where that file is nobody else's. */
  readonly mode: 'auto' | 'on' | 'off'
}

export interface NamesDependencies {
  readonly directory: Directory
  readonly logger: Logger
}

/** The mesh's names on this machine: a resolver on the mesh addresses, and a resolv.conf that asks it. */
export function createNames(options: NamesOptions, { directory, logger }: NamesDependencies): Startable {
  const stack = createStack()
  return startable({
    async start(signal) {
      if (options.mode === 'off') return
      const { v6, v4 } = options.addresses
      const zone = new Zone(options.network, directory)
      const original = originalResolvConf(await readFile(RESOLV_CONF, 'utf8').catch(() => ''))
      const upstreams = nameserversOf(original, new Set([v6, v4]))
      stack.use(
        createResolver({ addresses: [v6, v4], port: DNS_PORT, upstreams: () => upstreams }, { zone, ask: askUpstream }),
      )
      if (options.mode === 'on' || (await ownsResolvConf(RESOLV_CONF))) {
        stack.use(createResolvConf({ file: RESOLV_CONF, nameservers: [v4, v6], search: zone.origin }))
      }
      try {
        await stack.start({ signal })
      } catch (error) {
        if (options.mode === 'on') throw error
        logger.warn('names of the mesh are not served on this machine', { error })
        await stack.stop()
      }
    },
    stop: () => stack.stop(),
  })
}
