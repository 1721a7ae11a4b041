import { createInterface } from 'node:readline'
import type { DeviceEvent, DeviceStatus } from 'node-wireguard'
import type { LabProcess } from '../lab/index.ts'
import type { DeviceCall, DeviceSettings } from './device-call.ts'

/** A status as it comes over the pipe: keys are base64. */
export type SentStatus = Omit<DeviceStatus, 'peers'> & {
  readonly peers: readonly (Omit<DeviceStatus['peers'][number], 'publicKey'> & { readonly publicKey: string })[]
}

interface Waiting {
  readonly done: (answer: unknown) => void
  readonly failed: (error: Error) => void
}

/** Talks to programs/device.ts: one answer for each line, in their order. */
export class Caller {
  readonly #process: LabProcess
  readonly #waiting: Waiting[] = []
  /** What the device told unasked, oldest first. */
  readonly events: DeviceEvent[] = []

  constructor(process: LabProcess) {
    this.#process = process
    if (process.child.stdout !== null) {
      createInterface({ input: process.child.stdout }).on('line', (line) => this.#hear(line))
    }
    void process.ended.then(() => this.#fail())
  }

  open(settings: DeviceSettings): Promise<unknown> {
    return this.#ask(settings)
  }

  call(call: DeviceCall): Promise<unknown> {
    return this.#ask(call)
  }

  async status(): Promise<SentStatus> {
    return (await this.#ask({ type: 'status' } satisfies DeviceCall)) as SentStatus
  }

  async counters(): Promise<readonly number[]> {
    return (await this.#ask({ type: 'counters' } satisfies DeviceCall)) as number[]
  }

  #ask(line: object): Promise<unknown> {
    const answer = new Promise<unknown>((done, failed) => this.#waiting.push({ done, failed }))
    this.#process.child.stdin?.write(`${JSON.stringify(line)}\n`)
    return answer
  }

  #hear(line: string): void {
    const said = JSON.parse(line) as { readonly answer?: unknown; readonly event?: DeviceEvent }
    if (said.event !== undefined) this.events.push(said.event)
    if ('answer' in said) this.#waiting.shift()?.done(said.answer)
  }

  #fail(): void {
    const error = new Error(`our device's process ended: ${this.#process.output().slice(-2000)}`)
    for (const { failed } of this.#waiting.splice(0)) failed(error)
  }
}
