import { type Startable, startable } from './startable.ts'

/** Starts its parts in the order they were added and stops them in the reverse; a failed start stops what ran already. */
export interface Stack extends Startable {
  /** Adds a part (before `start`) and gives it back, so that it reads `const x = stack.use(createX(…))`. */
  use<T extends Startable>(part: T): T
  /** Adds something to do at stop only. */
  defer(undo: () => Promise<void> | void): void
}

/** An empty {@link Stack}. */
export function createStack(): Stack {
  const parts: Startable[] = []
  const running: Startable[] = []
  const whole = startable({
    async start(signal) {
      for (const part of parts) {
        signal.throwIfAborted()
        running.push(part)
        await part.start({ signal })
      }
    },
    async stop() {
      const failures: unknown[] = []
      for (let part = running.pop(); part !== undefined; part = running.pop()) {
        try {
          await part.stop()
        } catch (error) {
          failures.push(error)
        }
      }
      if (failures.length > 0) throw new AggregateError(failures, 'not everything stopped cleanly')
    },
  })
  return {
    use(part) {
      parts.push(part)
      return part
    },
    defer(undo) {
      parts.push(startable({ start: () => undefined, stop: undo }))
    },
    start: (options) => whole.start(options),
    stop: () => whole.stop(),
    [Symbol.asyncDispose]: () => whole.stop(),
  }
}
