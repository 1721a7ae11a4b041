import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Counters,
  checkout,
  type Finished,
  type LabNode,
  type LabProcess,
  parseCounters,
  type SpawnOptions,
  type ToolOptions,
  type World,
} from '../lab/index.ts'
import { copyAll, guestImage, packInto } from './image.ts'
import { CONTROL, execJob, spawnJob } from './job.ts'
import { QEMU } from './refusal.ts'

/** A virtual machine that took a node's place in a world: same addresses, another kernel. */
export interface Guest extends LabNode {
  /** As `uname -r` says it. */
  readonly release: string
  /** The machine itself. */
  readonly machine: LabProcess
}

export interface GuestOptions {
  /** Further files: where they stand in the guest, and where they are here. */
  readonly files?: ReadonlyMap<string, string>
  /** 512 MiB unless said. */
  readonly memoryMib?: number
}

const START_TIMEOUT_MS = 60_000
const [WORLD_MAC, CONTROL_MAC] = ['52:54:00:00:00:01', '52:54:00:00:00:02']

/** Starts a guest in place of a node that is on one switch. It ends with the world. Do not `restore` that node's link. */
export async function startGuest(world: World, name: string, options: GuestOptions = {}): Promise<Guest> {
  const node = world.node(name)
  const image = await guestImage()
  let { initramfs } = image
  if (options.files !== undefined) {
    const [folder, whole] = [join(await world.folder(), name), join(await world.folder(), `${name}.cpio`)]
    await mkdir(folder)
    await copyAll(folder, options.files)
    await packInto(whole, folder, initramfs)
    initramfs = whole
  }
  await node.exec('ip', ['-batch', '-'], { input: WIRES.join('\n') })
  const words = [
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none', '-serial', 'stdio'],
    ...['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2'],
    ...['-m', `${options.memoryMib ?? 512}M`, '-device', 'virtio-rng-pci'],
    ...['-kernel', image.kernel, '-initrd', initramfs, '-append', 'console=ttyS0 quiet panic=-1'],
    ...card('world', 'guest0', WORLD_MAC),
    ...card('control', 'control0', CONTROL_MAC),
  ]
  const machine = node.spawn(QEMU, words, { cwd: checkout })
  await machine.says(/the guest is ready/, START_TIMEOUT_MS)
  const guest = new RunningGuest(node, image.release, machine)
  const addresses = node.addresses.map((address) =>
    address.includes(':') ? `address add ${address}/64 dev eth0 nodad` : `address add ${address}/24 dev eth0`,
  )
  await guest.exec('ip', ['-batch', '-'], { input: [...addresses, 'link set eth0 up'].join('\n') })
  return guest
}

/** The node becomes a mere bridge between its cable and the guest. */
const WIRES = [
  'tuntap add guest0 mode tap vnet_hdr',
  'tuntap add control0 mode tap vnet_hdr',
  'address flush dev eth0',
  'link add bridge0 type bridge',
  ...['eth0', 'guest0'].map((device) => `link set ${device} master bridge0`),
  ...['bridge0', 'guest0', 'control0'].map((device) => `link set ${device} up`),
  `address add ${CONTROL.host}/30 dev control0`,
]

function card(id: string, device: string, mac: string): string[] {
  const network = `tap,id=${id},ifname=${device},script=no,downscript=no`
  return ['-netdev', network, '-device', `virtio-net-pci,netdev=${id},mac=${mac},romfile=`]
}

class RunningGuest implements Guest {
  readonly kind = 'host'
  readonly release: string
  readonly machine: LabProcess
  readonly #node: LabNode

  constructor(node: LabNode, release: string, machine: LabProcess) {
    this.#node = node
    this.release = release
    this.machine = machine
  }

  get name(): string {
    return this.#node.name
  }

  get address(): string {
    return this.#node.address
  }

  get addresses(): readonly string[] {
    return this.#node.addresses
  }

  get holderPid(): number {
    return this.#node.holderPid
  }

  spawn(command: string, args: readonly string[], options: SpawnOptions = {}): LabProcess {
    return spawnJob(this.#node, [command, ...args], options)
  }

  exec(command: string, args: readonly string[], options: ToolOptions = {}): Promise<Finished> {
    return execJob(this.#node, [command, ...args], options)
  }

  async counters(): Promise<Record<string, Counters>> {
    const { stdout } = await this.exec('ip', ['-json', '-statistics', 'link', 'show'])
    return parseCounters(stdout)
  }
}
