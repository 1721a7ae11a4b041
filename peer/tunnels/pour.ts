import type { Readable, Writable } from 'node:stream'

/**
 * `from` into `to` with back-pressure and the end passed on, as `pipe` does, but what comes in one turn of the event loop
 * leaves in one system call: TLS gives its bytes by 16 KiB.
 */
export function pour(from: Readable, to: Writable): void {
  let corked = false
  const uncork = (): void => {
    corked = false
    to.uncork()
  }
  from.on('data', (chunk) => {
    if (!corked) {
      corked = true
      to.cork()
      process.nextTick(uncork)
    }
    if (to.write(chunk)) return
    from.pause()
    to.once('drain', () => from.resume())
  })
  from.once('end', () => to.end())
}
