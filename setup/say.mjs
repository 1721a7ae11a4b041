// Where the checkout is, and how set-up talks.
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout's top folder. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** One line on stderr. */
export function say(sentence) {
  process.stderr.write(`ropewalk: ${sentence}\n`)
}

/** What a person can put right: one sentence, and the next step. */
export class SetupError extends Error {
  constructor(sentence, hint, exitCode = 1) {
    super(sentence)
    this.hint = hint
    this.exitCode = exitCode
  }
}
