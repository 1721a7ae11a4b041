import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { RopewalkError } from '@ropewalk/shared/errors'
import { BLOCK_PORTS, type LeaseId } from '@ropewalk/shared/runtime'
import { listeningSockets } from '../sockets/index.ts'
import type { Cage, CageAnswer, CageEnd, ExecOptions } from './face.ts'
import { endLease, KEEPER } from './keeper.ts'
import { runProgram } from './program.ts'
import { Tail } from './tail.ts'

/** Longest that a keeper may take; processes end at once, a folder of many files takes what the disk needs. Then it is ended, and its work done again from here. */
const KEEPER_TIMEOUT_MS = 60_000

/** What a cage is made of once its keeper was started. */
export interface CageParts {
  readonly id: LeaseId
  readonly folder: string
  /** Its own user; null where leases share one. */
  readonly user: number | null
  /** First port of its block. */
  readonly ports: number
  /** Its keeper, with the five pipes of keeper.sh. */
  readonly keeper: ChildProcess
  /** Words before every command inside. */
  readonly entering: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Called when nothing of it is left. */
  readonly forget: () => void
}

/** A cage from the start of its keeper on. */
export class KeptCage implements Cage {
  readonly id: LeaseId
  readonly ended: Promise<CageEnd>
  /** Settles when the command is about to run inside. @throws RopewalkError `engine-failed` */
  readonly started: Promise<void>
  readonly #parts: CageParts
  readonly #tail = new Tail()
  readonly #gone: Promise<void>
  #over = false
  #stopping: Promise<void> | undefined

  constructor(parts: CageParts) {
    this.#parts = parts
    this.id = parts.id
    const { keeper } = parts
    const outputs = [keeper.stdout, keeper.stderr].map((stream) => this.#hear(stream))
    this.#gone = new Promise((done) => {
      keeper.once('exit', () => done())
      keeper.once('error', () => done())
    })
    const word = this.#listen(keeper.stdio[4] as Readable)
    this.started = word.started
    // The last words of a process can come after the word of its end.
    this.ended = Promise.race([word.ended, this.#gone.then(() => null)]).then(async (code) => {
      this.#over = true
      await Promise.all(outputs)
      return { code, tail: this.tail() }
    })
  }

  get logFolder(): string {
    return join(this.#parts.folder, 'tmp')
  }

  tail(): string {
    return this.#tail.toString()
  }

  async exec(command: readonly string[], options: ExecOptions): Promise<CageAnswer> {
    if (this.#over || this.#stopping !== undefined) throw this.#notRunning()
    const { folder, entering, env } = this.#parts
    const words = ['/bin/sh', KEEPER, 'exec', folder, ...entering, ...command]
    const broken = new AbortController()
    const signals = options.signal === undefined ? [broken.signal] : [broken.signal, options.signal]
    const answer = runProgram(words, { ...options, env, signal: AbortSignal.any(signals) })
    const ended = this.ended.then(() => {
      throw this.#notRunning()
    })
    return Promise.race([answer, ended]).finally(() => {
      answer.catch(() => {})
      ended.catch(() => {})
      broken.abort()
    })
  }

  async ownPorts(): Promise<readonly number[]> {
    const { user, ports } = this.#parts
    if (user === null) return []
    const inBlock = (port: number) => port >= ports && port < ports + BLOCK_PORTS
    return (await listeningSockets()).filter((one) => one.user === user && !inBlock(one.port)).map(({ port }) => port)
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#end()
    return this.#stopping
  }

  async #end(): Promise<void> {
    const { keeper, folder, forget } = this.#parts
    keeper.stdin?.end()
    const patience = setTimeout(() => keeper.kill('SIGKILL'), KEEPER_TIMEOUT_MS)
    await this.#gone
    clearTimeout(patience)
    if (existsSync(folder)) await endLease(folder)
    forget()
  }

  #notRunning(): RopewalkError {
    return new RopewalkError('not-running', 'The processes of the lease have ended')
  }

  async #hear(stream: Readable | null): Promise<void> {
    if (stream === null) return
    stream.setEncoding('utf8').on('data', (text: string) => this.#tail.add(text))
    await new Promise<void>((done) => stream.once('close', () => done()))
  }

  /** The keeper's lines; see keeper.sh. */
  #listen(stream: Readable): { started: Promise<void>; ended: Promise<number | null> } {
    const started = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<number | null>()
    createInterface({ input: stream }).on('line', (line) => {
      const [word = '', ...rest] = line.split(' ')
      if (word === 'started') started.resolve()
      if (word === 'failed')
        started.reject(new RopewalkError('engine-failed', `No cage for the lease: ${rest.join(' ')}`))
      if (word === 'ended') ended.resolve(Number(rest[0]))
    })
    void this.#gone.then(() =>
      started.reject(new RopewalkError('engine-failed', `No cage for the lease: ${this.tail()}`)),
    )
    void ended.promise.then(() =>
      started.reject(new RopewalkError('engine-failed', `No cage for the lease: ${this.tail()}`)),
    )
    started.promise.catch(() => {})
    return { started: started.promise, ended: ended.promise }
  }
}
