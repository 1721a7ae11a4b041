import { type FileHandle, open, rm } from 'node:fs/promises'
import type { StockPeer } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { parseName, parseTag } from '@ropewalk/shared/identity'
import { encodeBundle } from '@ropewalk/shared/membership'
import { admitStockDevice, openState } from '../../state/index.ts'
import type { CommandSpec } from '../program.ts'

/** Seconds: shorter than any NAT forgets. */
const KEEPALIVE_SECONDS = 25

interface Options {
  readonly tag: string[]
  readonly file?: string
  readonly lan?: true
}

interface Plan {
  readonly name: string
  readonly network: string
  readonly privateKey: Uint8Array
  readonly addresses: readonly string[]
  readonly mtu: number
  readonly until: string
  readonly reached: readonly (StockPeer & { readonly at: string })[]
  readonly unreached: readonly StockPeer[]
}

const collect = (value: string, before: string[]): string[] => [...before, value]

export const wireguardExport: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<name>', 'the name that the device will have')
      .option('--tag <tag>', 'a tag it carries; may be repeated', collect, [])
      .option('--file <file>', 'write it there, readable for you alone, instead of printing it')
      .option('--lan', 'name members by their local addresses where they have no public one')
      .action((name: string, options: Options) =>
        run(async (cli) => {
          const wish = { name: parseName(name), tags: options.tag.map(parseTag), nowMs: Date.now() }
          const local = await cli.peer() // it brings the device to the others
          await using file = options.file === undefined ? undefined : await NewFile.create(options.file)
          const { bundle, privateKey } = await admitStockDevice(await openState(cli.stateFolder), wish)
          const statement = Buffer.from(encodeBundle(bundle)).toString('base64url')
          const { network, addresses, mtu, notAfterMs, peers } = await local.api.admitStock({ body: { statement } })
          const at = (peer: StockPeer) => peer.endpoint ?? (options.lan === true ? peer.lanEndpoint : null)
          const reached = peers.flatMap((peer) => {
            const endpoint = at(peer)
            return endpoint === null ? [] : [{ ...peer, at: endpoint }]
          })
          const unreached = peers.filter((peer) => at(peer) === null)
          const until = new Date(notAfterMs).toISOString()
          const config = wgQuick({ name, network, privateKey, addresses, mtu, until, reached, unreached })
          await file?.fill(config)
          const result = {
            version: 1,
            name,
            addresses,
            until,
            reaches: reached.map((peer) => peer.name),
            cannotReach: unreached.map((peer) => peer.name),
            ...(options.file === undefined ? { config } : { file: options.file }),
          }
          cli.print(result, () => (options.file === undefined ? config : `${options.file}\n`))
          cli.say(`${name} is a member until ${until}. This file is its key: whoever has it is ${name}.`)
          if (unreached.length > 0) {
            const names = unreached.map((peer) => peer.name).join(', ')
            cli.say(`It cannot reach ${names}: no public address, and it knows no relays. ropewalk up can.`)
          }
        }),
      ),
}

function wgQuick(plan: Plan): string {
  const { name, network, privateKey, addresses, mtu, until, reached, unreached } = plan
  const lines = [
    `# ${name}, a member of the network ${network} until ${until}. Made by: ropewalk wireguard export`,
    '[Interface]',
    `PrivateKey = ${Buffer.from(privateKey).toString('base64')}`,
    `Address = ${hosts(addresses)}`,
    `MTU = ${mtu}`,
  ]
  for (const peer of reached) {
    lines.push(
      '',
      `# ${peer.name}`,
      '[Peer]',
      `PublicKey = ${peer.publicKey}`,
      `AllowedIPs = ${hosts(peer.addresses)}`,
      `Endpoint = ${peer.at}`,
      `PersistentKeepalive = ${KEEPALIVE_SECONDS}`,
    )
  }
  for (const { name: other, addresses: its } of unreached) {
    lines.push('', `# ${other} (${its.join(', ')}) has no public address, so this device cannot reach it`)
  }
  return `${lines.join('\n')}\n`
}

function hosts(addresses: readonly string[]): string {
  return addresses.map((address) => `${address}/${address.includes(':') ? 128 : 32}`).join(', ')
}

/** A file that was not there before, since that may be the key of another device; it goes again unless it is filled. */
class NewFile implements AsyncDisposable {
  readonly #path: string
  readonly #file: FileHandle
  #filled = false

  private constructor(path: string, file: FileHandle) {
    this.#path = path
    this.#file = file
  }

  /** @throws RopewalkError `bad-usage` */
  static async create(path: string): Promise<NewFile> {
    try {
      return new NewFile(path, await open(path, 'wx', 0o600))
    } catch (cause) {
      const why = (cause as NodeJS.ErrnoException).code === 'EEXIST' ? 'is there already' : 'cannot be written'
      throw new RopewalkError('bad-usage', `${path} ${why}`, { cause, hint: 'choose another name with --file' })
    }
  }

  async fill(text: string): Promise<void> {
    await this.#file.writeFile(text)
    await this.#file.sync()
    this.#filled = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
    if (!this.#filled) await rm(this.#path, { force: true })
  }
}
