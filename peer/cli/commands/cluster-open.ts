import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { ClusterAccess } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { LocalClient } from '../../client/index.ts'
import { createDashboardDoor } from '../../runtime/dashboard/index.ts'
import { createForward } from '../../tunnels/index.ts'
import { accessTo } from '../cluster-access.ts'
import { startJupyter } from '../head-jupyter.ts'
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
      .argument('<what>', 'dashboard: Ray’s own pages; jupyter: one that a worker exposes, else one on the head')
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

/** One that a worker of the cluster exposes, with a token of its own; else one that is started on the head. */
async function openJupyter(cli: Invocation, wanted: Wanted): Promise<void> {
  const local = await cli.peer()
  const access = await accessTo(cli, wanted.name)
  const exposing = await exposingWorker(local, access.name)
  if (exposing !== undefined) {
    const open: OpenStream = (service, signal) =>
      local.openStream({ peer: exposing.nodeId, service, via: 'auto', signal })
    const shown = { cluster: access.name, what: JUPYTER, worker: exposing.name }
    return await forwarded(cli, wanted, { ...shown, service: JUPYTER, open, query: '' })
  }
  const dial = await dialHead(local, access.head)
  cli.say(`starting Jupyter on ${access.head.name}; it ends with this command`)
  await using jupyter = await startJupyter(local, { access, dial, signal: cli.io.signal })
  await forwarded(cli, wanted, {
    cluster: access.name,
    what: JUPYTER,
    worker: access.head.name,
    service: String(jupyter.port),
    open: (service, signal) => dial(Number(service), signal),
    query: `?token=${jupyter.token}`,
  })
}

async function exposingWorker(local: LocalClient, name: string) {
  const { cluster } = await local.api.cluster({ params: { cluster: name } })
  const workers = cluster.workers.toSorted((a, b) => Number(b.role === 'head') - Number(a.role === 'head'))
  for (const worker of workers) {
    const found = await local.api.peer({ params: { peer: worker.nodeId } }).catch(() => undefined)
    if (found?.peer.services.some((service) => service.name === JUPYTER) === true) return worker
  }
  return undefined
}

type OpenStream = (service: string, signal: AbortSignal) => Promise<Socket>

interface Forwarded {
  readonly cluster: string
  readonly what: string
  readonly worker: string
  readonly service: string
  readonly open: OpenStream
  readonly query: string
}

async function forwarded(cli: Invocation, { port, browser }: Wanted, to: Forwarded): Promise<void> {
  const { service, open, query, ...shown } = to
  await using forward = createForward(
    { mappings: [{ localPort: port, service }] },
    {
      open,
      logger: cli.logger.child({ room: 'forward' }),
      onRefused: (_service, error) => cli.io.stderr.write(errorText(error, cli.io.stderr.isTTY === true)),
    },
  )
  await forward.start({ signal: cli.io.signal })
  await show(cli, { ...shown, url: `http://127.0.0.1:${forward.local[0]?.port ?? port}/${query}`, browser })
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
