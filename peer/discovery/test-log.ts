import { createLogger, type Logger } from '@ropewalk/shared/logger'

/** One log line, parsed. */
export type LogLine = Readonly<Record<string, unknown>>

/** The log of a test's node, which can be waited for. */
export class TestLog {
  readonly lines: LogLine[] = []
  readonly logger: Logger
  readonly #waiting = new Set<() => void>()

  constructor() {
    this.logger = createLogger({
      level: 'trace',
      destination: {
        write: (line: string) => {
          this.lines.push(JSON.parse(line))
          for (const look of [...this.#waiting]) look()
        },
      },
    })
  }

  /** The codes of all lines with a message. */
  codes(message: string): unknown[] {
    return this.lines.filter((line) => line.message === message).map((line) => line.code)
  }

  /** The first line with a message after `from` lines; waits for it. */
  async line(message: string, from = 0, timeoutMs = 8_000): Promise<LogLine> {
    const { promise, resolve, reject } = Promise.withResolvers<LogLine>()
    const look = (): void => {
      const found = this.lines.slice(from).find((line) => line.message === message)
      if (found !== undefined) resolve(found)
    }
    const timer = setTimeout(() => reject(new Error(`no line “${message}” within ${timeoutMs} ms`)), timeoutMs)
    this.#waiting.add(look)
    look()
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(look)
    }
  }
}
