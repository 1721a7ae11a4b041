import { join } from 'node:path'
import type { LabNode } from './node.ts'
import type { LabProcess } from './process.ts'

/** A datagram that arrived. */
export interface Datagram {
  readonly from: string
  readonly port: number
  readonly text: string
  /** The same as it came. */
  readonly hex: string
}

/** A real UDP socket in a node, worked by hand. */
export interface DatagramSocket {
  readonly port: number
  send(to: string, port: number, text: string): void
  /** Sends bytes that are written in hex. */
  sendBytes(to: string, port: number, hex: string): void
  /** Waits for a datagram with this text (3 s unless said). Throws when none comes. */
  receives(text: string, timeoutMs?: number): Promise<Datagram>
  /** Waits until so many in all have arrived (3 s unless said). Throws when they do not. */
  arrives(count: number, timeoutMs?: number): Promise<void>
  /** Waits until a send of this text has failed; returns the system's code. */
  fails(text: string): Promise<string>
  /** All that has arrived. */
  received(): readonly Datagram[]
  close(): Promise<void>
}

const RECEIVE_TIMEOUT_MS = 3_000

/** Binds a socket in `node`; port 0 lets the system choose. */
export async function bindDatagrams(node: LabNode, port = 0): Promise<DatagramSocket> {
  const program = join(import.meta.dirname, 'programs', 'datagrams.ts')
  const child = node.spawn(process.execPath, [program, port.toString()], { stdio: ['pipe', 'pipe', 'pipe'] })
  const bound = await child.says(/{"bound":(\d+)}/)
  return new WorkedSocket(child, Number(bound[1]))
}

class WorkedSocket implements DatagramSocket {
  readonly port: number
  readonly #process: LabProcess

  constructor(process: LabProcess, port: number) {
    this.#process = process
    this.port = port
  }

  send(to: string, port: number, text: string): void {
    this.#process.child.stdin?.write(`${JSON.stringify({ to, port, text })}\n`)
  }

  sendBytes(to: string, port: number, hex: string): void {
    this.#process.child.stdin?.write(`${JSON.stringify({ to, port, hex })}\n`)
  }

  async receives(text: string, timeoutMs = RECEIVE_TIMEOUT_MS): Promise<Datagram> {
    const [, line = ''] = await this.#process.says(new RegExp(`({"from".*"text":"${text}",.*})\n`), timeoutMs)
    return JSON.parse(line) as Datagram
  }

  async arrives(count: number, timeoutMs = RECEIVE_TIMEOUT_MS): Promise<void> {
    await this.#process.says(new RegExp(`(?:^{"from".*\n(?:.*\n)*?){${count}}`, 'm'), timeoutMs)
  }

  async fails(text: string): Promise<string> {
    const [, code = ''] = await this.#process.says(new RegExp(`{"error":"(.*)","text":"${text}"}\n`))
    return code
  }

  received(): readonly Datagram[] {
    const lines = this.#process
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{"from"'))
    return lines.map((line) => JSON.parse(line) as Datagram)
  }

  async close(): Promise<void> {
    await this.#process.stop()
  }
}
