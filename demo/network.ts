import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expectSuccess, Service } from './program.ts'

export const WORKERS = ['worker-a', 'worker-b', 'worker-c'] as const
export const ENGINEER = 'engineer'
export const SERVICE = 'hello'

export type Progress = (line: string) => void

/** A relay, three workers and an engineer as separate processes on this machine, in a folder of their own. */
export class DemoNetwork {
  readonly folder: string
  readonly #services: Service[] = []
  readonly #servers: Server[] = []

  private constructor(folder: string) {
    this.folder = folder
  }

  /** Brings everything up and returns when each peer says that it is ready. @throws Error with a next step */
  static async open(progress: Progress, signal: AbortSignal): Promise<DemoNetwork> {
    const network = new DemoNetwork(await mkdtemp(join(tmpdir(), 'ropewalk-demo-')))
    try {
      await network.#start(progress, signal)
      return network
    } catch (error) {
      await network.close({ keepFolder: true })
      throw error
    }
  }

  /** The state folder of one of its processes. */
  state(name: string): string {
    return join(this.folder, name)
  }

  /** Settles with a sentence when one of the processes ends by itself. */
  async failure(): Promise<string> {
    return await Promise.race(this.#services.map((service) => service.died()))
  }

  async close(options: { readonly keepFolder?: boolean } = {}): Promise<void> {
    await Promise.all(this.#services.toReversed().map((service) => service.stop()))
    for (const server of this.#servers) {
      server.closeAllConnections()
      server.close()
    }
    if (options.keepFolder !== true) await rm(this.folder, { recursive: true, force: true })
  }

  async #start(progress: Progress, signal: AbortSignal): Promise<void> {
    const admin = ['--state', this.state('admin')]
    const [https, udp, p2p] = [await freePort(), await freePort(), await freePort()]
    progress('making a network with a key of its own')
    await expectSuccess('ropewalk', ['network', 'create', 'demo', ...admin], signal)
    const relay = ['--relay', '--name', 'relay', '--public-host', '127.0.0.1', '--https-port', String(https)]
    const relayTicket = await this.#ticket('relay', [...relay, ...admin], signal)
    progress(`starting the relay on https://127.0.0.1:${https}`)
    const listen = ['--listen', `127.0.0.1:${https}`, '--udp-port', String(udp), '--listen-port', String(p2p)]
    this.#service('relay', 'ropewalk-relay', ['--ticket-file', relayTicket, ...listen, '--tls-self-signed'])
    await this.#ready('relay', signal)
    for (const name of [...WORKERS, ENGINEER]) {
      const ticket = await this.#ticket(name, ['--name', name, '--expires', '1h', ...admin], signal)
      const expose = name === ENGINEER ? [] : ['--expose', `${SERVICE}=${await this.#serveHello(name)}`]
      progress(`starting ${name}, which joins with its ticket`)
      this.#service(name, 'ropewalk', ['up', '--ticket-file', ticket, '--rootless', ...expose])
    }
    await Promise.all(
      [...WORKERS, ENGINEER].map(async (name) => {
        await this.#ready(name, signal)
        progress(`${name} is connected`)
      }),
    )
  }

  async #ticket(name: string, args: readonly string[], signal: AbortSignal): Promise<string> {
    const file = join(this.folder, `${name}.ticket`)
    await writeFile(file, await expectSuccess('ropewalk', ['invite', ...args], signal), { mode: 0o600 })
    return file
  }

  #service(name: string, command: 'ropewalk' | 'ropewalk-relay', args: readonly string[]): void {
    const own = ['--state', this.state(name), '--interface', 'lo']
    this.#services.push(new Service(name, command, [...args, ...own], join(this.folder, `${name}.log`)))
  }

  async #ready(name: string, signal: AbortSignal): Promise<void> {
    const args = ['status', '--wait', '--timeout', '30s', '--state', this.state(name)]
    await Promise.race([
      expectSuccess('ropewalk', args, signal),
      this.failure().then((sentence) => Promise.reject(new Error(sentence))),
    ])
  }

  /** A service on loopback, as a user would have one: nobody outside can reach it but through ropewalk. */
  async #serveHello(name: string): Promise<number> {
    const server = createServer((_request, response) => response.end(`hello from ${name}\n`))
    this.#servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return (server.address() as AddressInfo).port
  }
}

async function freePort(): Promise<number> {
  const server = createTcpServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}
