import { randomBytes } from 'node:crypto'

/** Name of something that is made only to see whether it can be. Peers in containers share what it is made in, and their
 *  process ids are often the same. */
export function trialName(): string {
  return `ropewalk-trial-${randomBytes(8).toString('hex')}`
}
