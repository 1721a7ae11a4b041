import type { Readable, Writable } from 'node:stream'

/** What a command sees of its process; nothing else touches argv, environment or standard streams. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number }
  readonly stderr: Writable & { readonly isTTY?: boolean }
  readonly env: Readonly<Record<string, string | undefined>>
  /** 0 for root. */
  readonly userId: number
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal
}

/** The io of a process: Ctrl-C and SIGTERM abort its signal, and the second of them ends it at once. */
export function processIo(process: NodeJS.Process): Io {
  const abort = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (abort.signal.aborted) process.exit(130)
      abort.abort()
    })
  }
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    userId: process.getuid?.() ?? -1,
    signal: abort.signal,
  }
}
