import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { CONTROL_SOCKET_NAME, type CommandSpec, type Invocation, notifyReady } from '@ropewalk/peer/cli'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { TlsChoice } from '../options.ts'
import { createRelay } from '../relay.ts'
import { parseListen, parsePort } from './listen.ts'

const TICKET_LIMIT_BYTES = 16_384

interface Options {
  readonly ticketFile?: string
  readonly listen: string
  readonly udpPort: string
  readonly listenPort: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsSelfSigned?: true
  readonly insecureLoopback?: true
  readonly domain?: string
  readonly interface: string[]
  readonly rootless?: true
  readonly tunName: string
}

const collect = (value: string, before: string[]): string[] => [...before, ...value.split(',')]

/** What `ropewalk-relay` does. */
export function serve(version: string): CommandSpec {
  return {
    build: (command, run) =>
      command
        .option(
          '--ticket-file <file>',
          "the relay's ticket: needed at the first start; it is the relay's key, keep it so",
        )
        .option('--listen <address>', 'where the public TCP port listens', '0.0.0.0:443')
        .option('--udp-port <port>', 'STUN and the packet forwarder', '3478')
        .option('--listen-port <port>', 'UDP for WireGuard and TCP for libp2p', '3479')
        .option('--tls-cert <file>', 'certificate chain, PEM')
        .option('--tls-key <file>', 'its private key, PEM')
        .option('--tls-self-signed', 'a certificate of its own: enough for peers, browsers will warn')
        .option('--insecure-loopback', 'no TLS; listens on loopback only')
        .option(
          '--domain <name>',
          'the domain of workers’ services: a self-signed certificate covers it and what is under it',
        )
        .option('--interface <name>', 'use only this interface of the machine; may be repeated', collect, [])
        .option('--rootless', 'make no interface on this machine')
        .option('--tun-name <name>', "the mesh's interface", 'rope0')
        .action((options: Options) => run((cli) => runRelay(cli, options, version))),
  }
}

async function runRelay(cli: Invocation, options: Options, version: string): Promise<void> {
  const { io, logger } = cli
  flushCompileCache() // now and not at its end, which may be months away
  const stop = new AbortController()
  const signal = AbortSignal.any([io.signal, stop.signal])
  const listen = parseListen(options.listen)
  const relay = createRelay(
    {
      peer: {
        stateFolder: cli.stateFolder,
        ticket: await readTicket(options.ticketFile),
        rootless: options.rootless === true || io.userId !== 0,
        listenPort: parsePort(options.listenPort),
        tunName: options.tunName,
        interfaces: options.interface.length === 0 ? undefined : options.interface,
        expose: [],
        names: 'off',
        doors: [{ path: join(cli.stateFolder, CONTROL_SOCKET_NAME), mode: 0o600, scopes: ['read', 'write', 'stream'] }],
      },
      listen,
      udpPort: parsePort(options.udpPort),
      tls: chooseTls(options, listen.address),
      domain: options.domain === undefined ? undefined : parseDomain(options.domain),
      version,
    },
    { logger, shutdown: () => stop.abort() },
  )
  try {
    await relay.start({ signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
    if (!signal.aborted) {
      cli.say(`relay ${relay.rooms.discovery.self.name} is up: ${relay.url}`)
      notifyReady(io.env, `relay is up: ${relay.url}`)
      await once(signal, 'abort')
    }
  } finally {
    await relay.stop()
  }
}

/** One way to secure the public port must be chosen: no default would be right for everybody, and none is unsafe. */
function chooseTls(options: Options, address: string): TlsChoice {
  const { tlsCert, tlsKey, tlsSelfSigned, insecureLoopback } = options
  const chosen = [tlsCert ?? tlsKey, tlsSelfSigned, insecureLoopback].filter((one) => one !== undefined)
  if (chosen.length > 1)
    throw new RopewalkError('bad-usage', 'Choose one of --tls-cert, --tls-self-signed and --insecure-loopback')
  if (tlsCert !== undefined && tlsKey !== undefined) return { kind: 'files', certFile: tlsCert, keyFile: tlsKey }
  if (tlsCert !== undefined || tlsKey !== undefined) {
    throw new RopewalkError('bad-usage', '--tls-cert and --tls-key belong together')
  }
  if (tlsSelfSigned) return { kind: 'self-signed' }
  if (insecureLoopback) {
    if (/^(127\.|::1$)/.test(address)) return { kind: 'insecure-loopback' }
    throw new RopewalkError('insecure-config', `--insecure-loopback does not go with the public address ${address}`, {
      hint: 'use --tls-self-signed, or --listen 127.0.0.1:PORT',
    })
  }
  throw new RopewalkError('insecure-config', 'A public port needs TLS, and none was chosen', {
    hint: 'add --tls-self-signed (enough for peers), or --tls-cert F --tls-key F',
  })
}

/** @throws RopewalkError `bad-usage` */
function parseDomain(text: string): string {
  const labels = text.toLowerCase().split('.')
  const isLabel = (label: string) => /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(label)
  if (text.length <= 200 && labels.length > 1 && labels.every(isLabel)) return labels.join('.')
  throw new RopewalkError('bad-usage', `“${text.slice(0, 80)}” is no domain`, { hint: '--domain tunnels.example.org' })
}

async function readTicket(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined
  try {
    return (await readFile(file, 'utf8')).slice(0, TICKET_LIMIT_BYTES).trim()
  } catch (cause) {
    throw new RopewalkError('bad-usage', `The ticket file ${file} cannot be read: ${toRopewalkError(cause).message}`, {
      cause,
    })
  }
}
