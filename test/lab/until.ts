import { LabError } from './error.ts'

const PAUSE_MS = 5

/** Asks again and again until `look` has an answer other than null. For what the kernel tells nobody about; where there is an
 *  event, wait for that. Throws when there is none within `timeoutMs`. */
export async function until<T>(timeoutMs: number, what: string, look: () => Promise<T | null> | T | null): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found !== null) return found
    if (performance.now() > deadline) throw new LabError(`waited ${timeoutMs} ms in vain for ${what}`)
    await new Promise((done) => setTimeout(done, PAUSE_MS))
  }
}
