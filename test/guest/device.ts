import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Device, DeviceOptions, DeviceStatus } from 'node-wireguard'
import { checkout, type LabNode } from '../lab/index.ts'
import { programFiles } from './image.ts'

type Method = Exclude<keyof Device, symbol>

/** What programs/device.ts is asked: to open a device, or to call a method of one that is open, by its number. */
export type Asked =
  | { readonly open: DeviceOptions }
  | { readonly device: number; readonly method: Method; readonly args: readonly unknown[] }

/** How bytes come over the pipe. */
export interface Sent {
  readonly base64: string
}

export const sent = (bytes: Buffer): Sent => ({ base64: bytes.toString('base64') })

type Options = Omit<DeviceOptions, 'privateKey'> & { readonly privateKey: Sent }

/** The status with the bytes as they come over the pipe. */
export type SentStatus = Omit<DeviceStatus, 'publicKey' | 'peers'> & {
  readonly publicKey: Sent
  readonly peers: readonly (Omit<DeviceStatus['peers'][number], 'publicKey'> & { readonly publicKey: Sent })[]
}

/** What the device threw, in the guest. */
class Thrown extends Error {
  readonly code: string
  readonly hint: string | undefined

  constructor({ code, message, hint }: { code: string; message: string; hint?: string }) {
    super(message)
    this.code = code
    this.hint = hint
  }
}

/** A device of ours in the guest. */
export interface GuestDevice {
  /** `events` gives all that there were until now. */
  call(method: Method, ...args: unknown[]): Promise<unknown>
  status(): Promise<SentStatus>
}

/** A process in the guest that opens devices. */
export interface DeviceProcess {
  /** Throws what opening it throws there. */
  open(options: Options): Promise<GuestDevice>
}

/** Where the checkout stands in the guest. */
const ROOT = '/ropewalk'

/** What a guest needs for {@link startDevices}: Node, the engine and its face, and the program. */
export async function deviceFiles(): Promise<Map<string, string>> {
  const files = await programFiles([process.execPath])
  const add = (path: string) => files.set(join(ROOT, path), join(checkout, path))
  for (const name of await readdir(join(checkout, 'node-wireguard'))) {
    if (/\.ts$|^package\.json$|^engine\.node$/.test(name)) add(join('node-wireguard', name))
  }
  add('node_modules/node-wireguard') // a link to the folder above
  add('package.json')
  add('test/guest/programs/device.ts')
  return files
}

/** Starts the process in a guest that has these files. It ends with the guest. */
export function startDevices(guest: LabNode): DeviceProcess {
  const program = join(ROOT, 'test/guest/programs/device.ts')
  const process_ = guest.spawn('node', [program], { stdio: ['pipe', 'pipe', 'pipe'] })
  const waiting: { done(answer: unknown): void; failed(error: Error): void }[] = []
  if (process_.child.stdout !== null) {
    createInterface({ input: process_.child.stdout }).on('line', (line) => {
      if (!line.startsWith('{')) return // its stderr comes with it
      const answer = JSON.parse(line) as { returned?: unknown; threw?: ConstructorParameters<typeof Thrown>[0] }
      const first = waiting.shift()
      if (answer.threw === undefined) first?.done(answer.returned)
      else first?.failed(new Thrown(answer.threw))
    })
  }
  void process_.ended.then(() => {
    const error = new Error(`the devices' process in the guest ended: ${process_.output().slice(-2000)}`)
    for (const { failed } of waiting.splice(0)) failed(error)
  })
  const ask = (line: object) => {
    const answer = new Promise<unknown>((done, failed) => waiting.push({ done, failed }))
    process_.child.stdin?.write(`${JSON.stringify(line)}\n`)
    return answer
  }
  return {
    open: async (options) => {
      const device = await ask({ open: options })
      const call = (method: Method, ...args: unknown[]) => ask({ device, method, args })
      return { call, status: async () => (await call('status')) as SentStatus }
    },
  }
}
