import { dirname } from 'node:path'
import { type Counters, parseCounters } from './counters.ts'
import { enter, enterNetwork, type Holder, hold } from './holder.ts'
import { type End, type Place, withoutPrefix } from './layout.ts'
import { SHORT_UDP_TIMEOUT_SECONDS } from './plan.ts'
import { type LabProcess, type SpawnOptions, start } from './process.ts'
import { internetRules, natRules } from './rules.ts'
import { asSomebody, SOMEBODY, somebodySetup } from './somebody.ts'
import { type Finished, runTool, type ToolOptions } from './tool.ts'

/** The checkout's top folder. */
export const checkout = dirname(dirname(import.meta.dirname))

/** A node of a world that is up. */
export interface LabNode {
  readonly name: string
  readonly kind: Place['kind']
  /** Its first IPv4 address on its first cable; empty for a switch and the internet. */
  readonly address: string
  /** All addresses on its cables, without prefix lengths. */
  readonly addresses: readonly string[]
  /** The process that its namespaces belong to (`nsenter --target=PID --net …`). */
  readonly holderPid: number
  /** Starts a program in it. A host also has its own processes, /etc and /run; a router or switch only its own network. */
  spawn(command: string, args: readonly string[], options?: SpawnOptions): LabProcess
  /** Runs a program in it to the end. Throws when it fails, unless `mayFail`. */
  exec(command: string, args: readonly string[], options?: ToolOptions): Promise<Finished>
  /** What the kernel counted at each of its devices. */
  counters(): Promise<Record<string, Counters>>
}

/** A node and what only the lab itself does with it. */
export interface OwnedNode extends LabNode {
  /** `ip -batch`. */
  ip(lines: readonly string[]): Promise<void>
  /** `nft -f -`. */
  nft(rules: string): Promise<void>
  end(): Promise<void>
}

/** Makes a node's namespaces. `hosts` are lines for its /etc/hosts. */
export async function makeNode(place: Place, ends: readonly End[], hosts: readonly string[]): Promise<OwnedNode> {
  const holder = await hold(place.name, place.kind === 'host' ? hostMounts(place.name, hosts) : '')
  return new HeldNode(place, ends, holder)
}

/** Writable copies that end with the node: what one writes into /etc (names, keys, users) no other node sees. */
function hostMounts(name: string, hosts: readonly string[]): string {
  const lines = [`127.0.0.1 localhost`, `::1 localhost ip6-localhost`, `127.0.1.1 ${name}`, ...hosts]
  return `
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd /run/lock /run/wireguard
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc
umount -l /mnt
[ ! -d /etc/ssh ] || mount -t tmpfs -o mode=755 tmpfs /etc/ssh # its keys are its own, not this machine's
rm -f /etc/resolv.conf /etc/hosts /etc/hostname
echo '# no name server in this world' >/etc/resolv.conf
echo '${name}' >/etc/hostname
cat >/etc/hosts <<'HOSTS'
${lines.join('\n')}
HOSTS
${somebodySetup}
`
}

/** Further words for env, which stands before every command, and for who is to run it. */
function become({ as }: { readonly as?: 'somebody' }): string[] {
  return as === undefined ? [] : [`HOME=${SOMEBODY.home}`, `USER=${SOMEBODY.name}`, ...asSomebody()]
}

class HeldNode implements OwnedNode {
  readonly name: string
  readonly kind: Place['kind']
  readonly addresses: readonly string[]
  readonly #holder: Holder

  constructor(place: Place, ends: readonly End[], holder: Holder) {
    this.name = place.name
    this.kind = place.kind
    this.addresses = ends.flatMap((end) => end.addresses).map(withoutPrefix)
    this.#holder = holder
  }

  get address(): string {
    return this.addresses.find((address) => address.includes('.')) ?? ''
  }

  get holderPid(): number {
    return this.#holder.pid
  }

  spawn(command: string, args: readonly string[], options: SpawnOptions = {}): LabProcess {
    return start([...enter(this.#holder.pid, options.cwd ?? checkout), ...become(options), command, ...args], options)
  }

  exec(command: string, args: readonly string[], options: ToolOptions = {}): Promise<Finished> {
    return runTool([...enter(this.#holder.pid, checkout), ...become(options), command, ...args], options)
  }

  async counters(): Promise<Record<string, Counters>> {
    const { stdout } = await this.#inNetwork(['ip', '-json', '-statistics', 'link', 'show'])
    return parseCounters(stdout)
  }

  async ip(lines: readonly string[]): Promise<void> {
    await this.#inNetwork(['ip', '-batch', '-'], `${lines.join('\n')}\n`)
  }

  async nft(rules: string): Promise<void> {
    await this.#inNetwork(['nft', '-f', '-'], rules)
  }

  end(): Promise<void> {
    return this.#holder.end()
  }

  #inNetwork(words: readonly string[], input = ''): Promise<Finished> {
    return runTool([...enterNetwork(this.#holder.pid), ...words], { input })
  }
}

/** Turns forwarding, NAT and filters on, before the first cable is there. */
export async function prepareNode(node: OwnedNode, place: Place): Promise<void> {
  await node.ip(['link set lo up', ...place.setup])
  const settings: Record<string, number> = {}
  if (place.kind === 'nat' || place.kind === 'internet') {
    settings['net/ipv4/ip_forward'] = 1
    settings['net/ipv6/conf/all/forwarding'] = 1
    await node.nft(place.nat === undefined ? internetRules : natRules(place.nat))
  }
  if (place.nat === 'short') {
    settings['net/netfilter/nf_conntrack_udp_timeout'] = SHORT_UDP_TIMEOUT_SECONDS
    settings['net/netfilter/nf_conntrack_udp_timeout_stream'] = SHORT_UDP_TIMEOUT_SECONDS
  }
  const script = Object.entries(settings).map(([path, value]) => `echo ${value} >/proc/sys/${path}`)
  if (script.length > 0) await runTool([...enterNetwork(node.holderPid), 'sh', '-ec', script.join('\n')])
}
