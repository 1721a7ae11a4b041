import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { parseName } from '@ropewalk/shared/identity'
import type { LocalDoor } from '../../api/index.ts'
import { createPeer } from '../../peer.ts'
import { runtimeFolder } from '../../runtime/index.ts'
import { parseExpose } from '../../tunnels/index.ts'
import { parseDuration } from '../duration.ts'
import { ACCESS_SOCKET, CONTROL_SOCKET_NAME, type Invocation } from '../invocation.ts'
import type { CommandSpec } from '../program.ts'
import { notifyReady } from '../ready.ts'

const TICKET_LIMIT_BYTES = 16_384

interface Options {
  readonly ticket?: string
  readonly ticketFile?: string
  readonly name?: string
  readonly rootless?: true
  readonly listenPort?: string
  readonly expose: string[]
  readonly tunName: string
  readonly interface: string[]
  readonly names: string
  readonly maxLease: string
}

const collect = (value: string, before: string[]): string[] => [...before, ...value.split(',')]

export const up: CommandSpec = {
  build: (command, run) =>
    command
      .option('--ticket <ticket>', 'the ticket, or - to read it from standard input (ROPEWALK_TICKET)')
      .option('--ticket-file <file>', 'a file that holds the ticket: keeps it out of the process list')
      .option('--name <name>', 'the name to ask for, where the ticket fixes none')
      .option('--rootless', 'make no interface on this machine; what runs without root')
      .option('--listen-port <port>', 'UDP for WireGuard and TCP for libp2p; random at first and then kept')
      .option('--expose <services>', 'ssh,jupyter=8888: what members may reach here; may be repeated', collect, [])
      .option('--tun-name <name>', "the mesh's interface", 'rope0')
      .option('--interface <name>', 'use only this interface of the machine; may be repeated', collect, [])
      .option('--names <mode>', 'resolve names of the mesh on this machine: auto, on or off', 'auto')
      .option('--max-lease <duration>', 'the longest lease of this worker that is taken', '24h')
      .action((options: Options) => run((cli) => runPeer(cli, options))),
}

async function runPeer(cli: Invocation, options: Options): Promise<void> {
  const { io, logger } = cli
  // here and not at its end, which may be months away; nor later, as it takes a second in which nothing else is done
  flushCompileCache()
  const stop = new AbortController()
  const signal = AbortSignal.any([io.signal, stop.signal])
  const rootless = options.rootless === true || io.userId !== 0
  const peer = createPeer(
    {
      stateFolder: cli.stateFolder,
      ticket: await readTicket(cli, options),
      name: options.name === undefined ? undefined : parseName(options.name),
      rootless,
      listenPort: options.listenPort === undefined ? undefined : parsePort(options.listenPort),
      tunName: options.tunName,
      interfaces: options.interface.length === 0 ? undefined : options.interface,
      expose: options.expose.map((one) => parseExpose(one)),
      names: parseNames(options.names),
      doors: doors(cli),
      runtime: { folder: runtimeFolder(cli.stateFolder, io.env), maxLeaseMs: parseDuration(options.maxLease) },
    },
    { logger, shutdown: () => stop.abort() },
  )
  try {
    await peer.start({ signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
    if (!signal.aborted) {
      const { name, addresses } = peer.rooms.discovery.self
      cli.say(`${name} is up: ${addresses.v6}, ${addresses.v4}`)
      notifyReady(io.env, `${name} is up`)
      await once(signal, 'abort')
    }
  } finally {
    await peer.stop()
  }
}

/** At most one of the ways to give a ticket; none is fine once this machine has joined. */
async function readTicket({ io }: Invocation, { ticket, ticketFile }: Options): Promise<string | undefined> {
  if (ticket !== undefined && ticketFile !== undefined) {
    throw new RopewalkError('bad-usage', 'The ticket is given twice', { hint: 'take --ticket or --ticket-file' })
  }
  if (ticketFile !== undefined) return (await readTicketFile(ticketFile)).trim()
  if (ticket === '-') return (await text(io.stdin)).slice(0, TICKET_LIMIT_BYTES).trim()
  return ticket ?? io.env.ROPEWALK_TICKET
}

async function readTicketFile(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).slice(0, TICKET_LIMIT_BYTES)
  } catch (cause) {
    throw new RopewalkError('bad-usage', `The ticket file ${file} cannot be read: ${toRopewalkError(cause).message}`, {
      cause,
    })
  }
}

/** The peer's sockets: its own in the state folder, and for root's usual peer the one that the group may use. */
function doors({ stateFolder, stateNamed, io }: Invocation): LocalDoor[] {
  const control: LocalDoor = {
    path: join(stateFolder, CONTROL_SOCKET_NAME),
    mode: 0o600,
    scopes: ['read', 'write', 'stream'],
  }
  if (stateNamed || io.userId !== 0) return [control]
  return [control, { path: ACCESS_SOCKET, mode: 0o660, group: 'ropewalk', scopes: ['read', 'stream'] }]
}

function parsePort(text: string): number {
  const port = Number(text)
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port
  throw new RopewalkError('bad-usage', `“${text}” is no port`)
}

function parseNames(text: string): 'auto' | 'on' | 'off' {
  if (text === 'auto' || text === 'on' || text === 'off') return text
  throw new RopewalkError('bad-usage', `--names is auto, on or off, not “${text}”`)
}
