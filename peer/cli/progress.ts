import type { Io } from './io.ts'

/** Shows how far something is, on stderr. */
export interface ProgressLine extends Disposable {
  /** The state now; a `step` of its own name begins a new line. */
  show(step: string, sentence: string): void
}

const LINE_EVERY_MS = 2_000
const TICK_MS = 1_000
const DEFAULT_COLUMNS = 80

/**
 * Progress for people: on a terminal one line per step that is written over, with the seconds it takes; elsewhere plain
 * lines, at most one in 2 s within a step.
 */
export function progressLine({ stderr }: Pick<Io, 'stderr'>): ProgressLine {
  return stderr.isTTY === true ? new TerminalProgress(stderr) : new PlainProgress(stderr)
}

class PlainProgress implements ProgressLine {
  readonly #stderr: Io['stderr']
  #step = ''
  #atMs = 0

  constructor(stderr: Io['stderr']) {
    this.#stderr = stderr
  }

  show(step: string, sentence: string): void {
    const nowMs = performance.now()
    if (step === this.#step && nowMs - this.#atMs < LINE_EVERY_MS) return
    this.#step = step
    this.#atMs = nowMs
    this.#stderr.write(`${sentence}\n`)
  }

  [Symbol.dispose](): void {}
}

class TerminalProgress implements ProgressLine {
  readonly #stderr: Io['stderr'] & { readonly columns?: number }
  readonly #timer: NodeJS.Timeout
  #step = ''
  #sentence = ''
  #sinceMs = 0

  constructor(stderr: Io['stderr']) {
    this.#stderr = stderr
    this.#timer = setInterval(() => this.#draw(), TICK_MS).unref()
  }

  show(step: string, sentence: string): void {
    if (step !== this.#step) {
      if (this.#step !== '') this.#stderr.write('\n')
      this.#step = step
      this.#sinceMs = performance.now()
    }
    this.#sentence = sentence
    this.#draw()
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    if (this.#step !== '') this.#stderr.write('\n')
  }

  #draw(): void {
    if (this.#step === '') return
    const seconds = ` ${Math.round((performance.now() - this.#sinceMs) / 1_000)} s`
    const room = (this.#stderr.columns || DEFAULT_COLUMNS) - seconds.length - 1 // a terminal without a size says 0
    this.#stderr.write(`\r\x1b[K${this.#sentence.slice(0, room)}${seconds}`)
  }
}
