import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Rival } from '../wireguard/index.ts'
import { startProgram } from './tunnel-process.ts'

const run = promisify(execFile)
const RATHOLE = '0.5.0'
const BUILD_TIMEOUT_MS = 900_000
const folder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ropewalk', 'rivals')

/** Something that leads from `port` to the sink until it is disposed of. */
export interface Way extends AsyncDisposable {
  readonly port: number
}

/** HAProxy of the distribution; installed if it is not there. */
export async function haproxy(): Promise<Rival> {
  const name = 'haproxy'
  try {
    await run('haproxy', ['-v']).catch(() => run('apt-get', ['install', '-y', 'haproxy']))
    const { stdout } = await run('haproxy', ['-v'])
    return { name, program: 'haproxy', version: /version (\S+)/.exec(stdout)?.[1] ?? 'unknown' }
  } catch (error) {
    return { name, missing: reason(error) }
  }
}

/** rathole, built by cargo once and kept. */
export async function rathole(): Promise<Rival> {
  const name = 'rathole'
  const root = join(folder, `${name}-${RATHOLE}`)
  const program = join(root, 'bin', name)
  try {
    await access(program).catch(async () => {
      await mkdir(root, { recursive: true })
      const features = ['--no-default-features', '--features', 'server,client,noise']
      await run('cargo', ['install', '--root', root, name, '--version', RATHOLE, ...features], {
        timeout: BUILD_TIMEOUT_MS,
        maxBuffer: 2 ** 26,
      })
    })
    return { name, program, version: `${RATHOLE}, noise` }
  } catch (error) {
    return { name, missing: reason(error) }
  }
}

/** HAProxy in TCP mode before a sink. */
export async function startHaproxy(program: string, sink: number): Promise<Way> {
  const [port] = await freePorts(1)
  const lines = [
    'global',
    '  log stderr local0 err',
    'defaults',
    '  mode tcp',
    '  timeout connect 5s',
    '  timeout client 1m',
    '  timeout server 1m',
    'listen relay',
    `  bind 127.0.0.1:${port}`,
    `  server one 127.0.0.1:${sink}`,
  ]
  return await started([{ program, args: (file) => ['-db', '-f', file], lines }], port ?? 0)
}

/** A rathole server and client with noise between them, before a sink. */
export async function startRathole(program: string, sink: number): Promise<Way> {
  const [port, control] = await freePorts(2)
  const { stdout } = await run(program, ['--genkey'])
  const key = (kind: string): string => new RegExp(`${kind} Key:\\s*(\\S+)`).exec(stdout)?.[1] ?? ''
  const server = [
    '[server]',
    `bind_addr = '127.0.0.1:${control}'`,
    "default_token = 'bench'",
    '[server.services.sink]',
    `bind_addr = '127.0.0.1:${port}'`,
    '[server.transport]',
    "type = 'noise'",
    '[server.transport.noise]',
    `local_private_key = '${key('Private')}'`,
  ]
  const client = [
    '[client]',
    `remote_addr = '127.0.0.1:${control}'`,
    "default_token = 'bench'",
    '[client.services.sink]',
    `local_addr = '127.0.0.1:${sink}'`,
    '[client.transport]',
    "type = 'noise'",
    '[client.transport.noise]',
    `remote_public_key = '${key('Public')}'`,
  ]
  return await started(
    [
      { program, args: (file) => ['--server', file], lines: server },
      { program, args: (file) => ['--client', file], lines: client },
    ],
    port ?? 0,
  )
}

interface Configured {
  readonly program: string
  readonly args: (file: string) => readonly string[]
  readonly lines: readonly string[]
}

async function started(all: readonly Configured[], port: number): Promise<Way> {
  const scratch = await mkdtemp(join(tmpdir(), 'ropewalk-bench-'))
  const programs: AsyncDisposable[] = []
  for (const [index, { program, args, lines }] of all.entries()) {
    const file = join(scratch, `${index}.toml`)
    await writeFile(file, `${lines.join('\n')}\n`)
    programs.push(startProgram(program, args(file)))
  }
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const one of programs) await one[Symbol.asyncDispose]()
      await rm(scratch, { recursive: true, force: true })
    },
  }
}

/** Ports of loopback that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => new Promise((resolve) => server.once('listening', resolve))))
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

function reason(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string }
  const lines = (stderr || message).trim().split('\n')
  return (lines.at(-1) ?? message).replaceAll(/https?:\/\/\S+/g, 'URL').slice(0, 200)
}
