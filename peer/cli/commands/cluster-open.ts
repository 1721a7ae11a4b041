import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { ClusterAccess } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { LocalClient } from '../../client/index.ts'
import { createDashboardDoor } from '../../runtime/dashboard/index.ts'
import { createForward } from '../../tunnels/index.ts'
import { accessTo } from '../cluster-access.ts'
import type { Invocation } from '../invocation.ts'
import { openBrowser } from '../open-browser.ts'
import { type CommandSpec, errorText } from '../program.ts'

const JUPYTER = 'jupyter'

interface Options {
  readonly port: string
  readonly browser: boolean
}

export const clusterOpen: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<what>', 'dashboard: Ray’s own pages; jupyter: the one that a worker of the cluster exposes')
      .argument('[name]', 'the cluster; needed where there are several')
      .option('--port <port>', 'which port of 127.0.0.1; any, if left out', '0')
      .option('--no-browser', 'print the address and open nothing')
      .action((what: string, name: string | undefined, options: Options) =>
        run(async (cli) => {
          const port = Number(options.port)
          if (!/^\d{1,5}$/.test(options.port) || port > 65_535)
            throw new RopewalkError('bad-usage', `“${options.port}” is no port`)
          const open = { dashboard: openDashboard, jupyter: openJupyter }[what]
          if (open === undefined)
            throw new RopewalkError('bad-usage', `What is opened is dashboard or jupyter, not “${what}”`)
          await open(cli, { name, port, browser: options.browser })
        }),
      ),
}

interface Wanted {
  readonly name: string | undefined
  readonly port: number
  readonly browser: boolean
}

async function openDashboard(cli: Invocation, { name, port, browser }: Wanted): Promise<void> {
  const { head, token, name: cluster } = await accessTo(cli, name)
  const local = await cli.peer()
  const dial = await dialHead(local, head)
  ;(await dial(head.dashboardPort, cli.io.signal)).destroy() // what cannot be reached is told now, not in the browser
  await using door = createDashboardDoor(
    { port, dashboardPort: head.dashboardPort, token },
    { dial, logger: cli.logger.child({ room: 'dashboard' }) },
  )
  await door.start({ signal: cli.io.signal })
  cli.say('whoever has the address may look: it is for you alone')
  await show(cli, { cluster, what: 'dashboard', worker: head.name, url: door.url, browser })
}

/** A worker's Jupyter has its own token; the way there is a forward like any other. */
async function openJupyter(cli: Invocation, { name, port, browser }: Wanted): Promise<void> {
  const local = await cli.peer()
  const access = await accessTo(cli, name)
  const { cluster } = await local.api.cluster({ params: { cluster: access.name } })
  const workers = cluster.workers.toSorted((a, b) => Number(b.role === 'head') - Number(a.role === 'head'))
  for (const worker of workers) {
    const found = await local.api.peer({ params: { peer: worker.nodeId } }).catch(() => undefined)
    if (found?.peer.services.some((service) => service.name === JUPYTER) !== true) continue
    await using forward = createForward(
      { mappings: [{ localPort: port, service: JUPYTER }] },
      {
        open: (service, signal) => local.openStream({ peer: worker.nodeId, service, via: 'auto', signal }),
        logger: cli.logger.child({ room: 'forward' }),
        onRefused: (_service, error) => cli.io.stderr.write(errorText(error, cli.io.stderr.isTTY === true)),
      },
    )
    await forward.start({ signal: cli.io.signal })
    const url = `http://127.0.0.1:${forward.local[0]?.port ?? port}/`
    await show(cli, { cluster: cluster.name, what: JUPYTER, worker: worker.name, url, browser })
    return
  }
  throw new RopewalkError('not-exposed', `No worker of ${cluster.name} exposes a Jupyter, and Ray brings none`, {
    hint: `on ${access.head.name}: jupyter lab --no-browser --port 8888, and ropewalk expose jupyter=8888 --http`,
  })
}

/** Connections to a port of the head: streams by mesh or tunnel, or none of them where this node is the head. */
async function dialHead(
  local: LocalClient,
  head: ClusterAccess['head'],
): Promise<(port: number, signal: AbortSignal) => Promise<Socket>> {
  const { self } = await local.api.status()
  if (self.nodeId !== head.nodeId)
    return (port, signal) => local.openStream({ peer: head.nodeId, service: String(port), via: 'auto', signal })
  return async (port, signal) => {
    const socket = connect({ host: head.address, port })
    await once(socket, 'connect', { signal }).catch((error: unknown) => {
      socket.destroy()
      throw error
    })
    return socket
  }
}

interface Shown {
  readonly cluster: string
  readonly what: string
  readonly worker: string
  readonly url: string
  readonly browser: boolean
}

/** Prints the address, and stays until Ctrl-C. */
async function show(cli: Invocation, { cluster, what, worker, url, browser }: Shown): Promise<void> {
  cli.print({ version: 1, cluster, what, worker, url }, () => `${url}\n`)
  cli.say(`the ${what} of ${cluster}, on ${worker}, until Ctrl-C`)
  await using _page = browser ? await openBrowser(url, cli.io) : undefined
  if (!cli.io.signal.aborted) await once(cli.io.signal, 'abort')
}
