import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { checkout, type LabNode, type LabProcess } from '../lab/index.ts'

/** What a test asks of the cages of a host. */
export type Question =
  | { readonly what: 'check' | 'sweep' }
  | { readonly what: 'open'; readonly spec: object }
  | { readonly what: 'exec'; readonly id: string; readonly command: readonly string[]; readonly timeoutMs?: number }
  | { readonly what: 'ray'; readonly id: string; readonly node: object; readonly timeoutMs?: number }
  | { readonly what: 'ended' | 'stop' | 'tail'; readonly id: string }

interface Answer {
  readonly number: number
  readonly result?: unknown
  readonly error?: { readonly code: string; readonly message: string }
}

/** A process in a host of a world that has cages, as a peer does, and does with them what a test says. */
export class CageHost {
  readonly process: LabProcess
  readonly folder: string
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #number = 0

  constructor(node: LabNode, folder: string) {
    this.folder = folder
    const program = join(checkout, 'test/runtime/programs/cages.ts')
    this.process = node.spawn(process.execPath, [program, folder], { stdio: ['pipe', 'pipe', 'pipe'] })
    const { stdout } = this.process.child
    if (stdout === null) throw new Error('the program has no output')
    createInterface({ input: stdout }).on('line', (line) => this.#hear(JSON.parse(line) as Answer))
    void this.process.ended.then(() => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`it ended: ${this.process.output()}`))
    })
  }

  async ask<T>(question: Question): Promise<T> {
    this.#number += 1
    const answer = Promise.withResolvers<unknown>()
    this.#waiting.set(this.#number, answer)
    this.process.child.stdin?.write(`${JSON.stringify({ number: this.#number, question })}\n`)
    return (await answer.promise) as T
  }

  /** Runs a shell script inside a cage and gives what it said on stdout. */
  async sh(id: string, script: string): Promise<string> {
    const command = ['sh', '-c', script]
    const { stdout, stderr, code } = await this.ask<{ code: number; stdout: string; stderr: string }>({
      what: 'exec',
      id,
      command,
    })
    if (code !== 0) throw new Error(`ended with ${code}: ${stderr}`)
    return stdout.trim()
  }

  #hear({ number, result, error }: Answer): void {
    const waiting = this.#waiting.get(number)
    this.#waiting.delete(number)
    if (error === undefined) waiting?.resolve(result)
    else waiting?.reject(Object.assign(new Error(error.message), { code: error.code }))
  }
}
