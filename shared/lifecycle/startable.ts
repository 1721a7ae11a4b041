/** What `start` may be given. */
export interface StartOptions {
  /** Aborting it while `start` runs makes `start` fail and undo itself. */
  readonly signal?: AbortSignal | undefined
}

/** Everything that runs: started once, stopped once, both idempotent; a failed start leaves nothing behind. */
export interface Startable extends AsyncDisposable {
  start(options?: StartOptions): Promise<void>
  stop(): Promise<void>
}

/** The two halves that {@link startable} turns into a {@link Startable}. */
export interface StartableBody {
  start(signal: AbortSignal): Promise<void> | void
  /** Must undo a start that went only half way. */
  stop(): Promise<void> | void
}

type Phase = 'idle' | 'starting' | 'running' | 'stopping' | 'stopped'

/**
 * Gives a plain pair of functions the rules of {@link Startable}: a second `start` joins the first, a `stop` during
 * `start` aborts it and waits, a failed `start` runs `stop` before it throws. A stopped one does not start again.
 */
export function startable(body: StartableBody): Startable {
  return new Body(body)
}

class Body implements Startable {
  readonly #body: StartableBody
  readonly #abort = new AbortController()
  #phase: Phase = 'idle'
  #starting: Promise<void> = Promise.resolve()
  #stopping: Promise<void> = Promise.resolve()

  constructor(body: StartableBody) {
    this.#body = body
  }

  start(options: StartOptions = {}): Promise<void> {
    if (this.#phase === 'idle') {
      this.#phase = 'starting'
      this.#starting = this.#run(options.signal)
    } else if (this.#phase === 'stopping' || this.#phase === 'stopped') {
      return Promise.reject(new Error('start() after stop()'))
    }
    return this.#starting
  }

  async #run(signal: AbortSignal | undefined): Promise<void> {
    const both = signal === undefined ? this.#abort.signal : AbortSignal.any([signal, this.#abort.signal])
    try {
      both.throwIfAborted()
      await this.#body.start(both)
      both.throwIfAborted()
      this.#phase = 'running'
    } catch (error) {
      this.#phase = 'stopping'
      // the first failure is the one to tell; a failing undo must not hide it
      await Promise.resolve(this.#body.stop()).catch(() => undefined)
      this.#phase = 'stopped'
      throw error
    }
  }

  stop(): Promise<void> {
    switch (this.#phase) {
      case 'idle':
        this.#phase = 'stopped'
        break
      case 'starting':
        this.#abort.abort()
        this.#stopping = this.#starting.then(
          () => this.#halt(),
          () => undefined,
        )
        break
      case 'running':
        this.#stopping = this.#halt()
        break
      case 'stopping':
      case 'stopped':
        break
    }
    return this.#stopping
  }

  async #halt(): Promise<void> {
    this.#phase = 'stopping'
    try {
      await this.#body.stop()
    } finally {
      this.#phase = 'stopped'
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}
