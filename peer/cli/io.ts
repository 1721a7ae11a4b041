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
