import { readFile, readlink, stat, writeFile } from 'node:fs/promises'
import type { Startable } from '@ropewalk/shared/lifecycle'

const MARK = '# written by ropewalk; the lines from before come back when it stops'
const KEPT = '#ropewalk-kept '

export interface ResolvConfOptions {
  /** `/etc/resolv.conf` but in tests. */
  readonly file: string
  /** The mesh addresses that the resolver listens on. */
  readonly nameservers: readonly string[]
  /** The network's zone, put first in the search list: `worker-a` is enough. */
  readonly search: string
}

/** Puts the mesh's resolver into a resolv.conf for as long as it runs. What was there is kept in the file itself, so that a crash loses nothing. */
export function createResolvConf(options: ResolvConfOptions): Startable {
  return new ResolvConf(options)
}

/** The file as it was before ropewalk wrote it. */
export function originalResolvConf(text: string): string {
  if (!text.startsWith(MARK)) return text
  return text
    .split('\n')
    .filter((line) => line.startsWith(KEPT))
    .map((line) => line.slice(KEPT.length))
    .join('\n')
}

/** The file with our resolver alone, and the lines from before as comments. The old search list follows our zone. */
export function withMesh(original: string, nameservers: readonly string[], search: string): string {
  const lines = original.split('\n')
  const searches = lines.flatMap((line) => /^\s*(?:search|domain)\s+(.+)/.exec(line)?.[1]?.split(/\s+/) ?? [])
  const options = lines.filter((line) => /^\s*options\s/.test(line))
  return [
    MARK,
    ...nameservers.map((server) => `nameserver ${server}`),
    `search ${[search, ...searches].join(' ')}`,
    ...options,
    ...lines.map((line) => `${KEPT}${line}`),
    '',
  ].join('\n')
}

class ResolvConf implements Startable {
  readonly #options: ResolvConfOptions
  #written: string | undefined

  constructor(options: ResolvConfOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    const { file, nameservers, search } = this.#options
    const original = originalResolvConf(await readFile(file, 'utf8').catch(() => ''))
    this.#written = withMesh(original, nameservers, search)
    await writeFile(file, this.#written) // in place: in a container the file is a mount and cannot be renamed over
  }

  async stop(): Promise<void> {
    const written = this.#written
    this.#written = undefined
    if (written === undefined) return
    const now = await readFile(this.#options.file, 'utf8').catch(() => undefined)
    if (now === written) await writeFile(this.#options.file, originalResolvConf(now)) // else somebody wrote it since: theirs stays
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/**
 * Whether `/etc/resolv.conf` is nobody else's: this process lives in a container, or in a mount namespace (a lab node) that has a file of its
 * own there. A service manager gives its services namespaces as well, with the machine's file in them; that one is not touched.
 */
export async function ownsResolvConf(file: string): Promise<boolean> {
  try {
    if (/(?:^|\0)container=/.test(await readFile('/proc/1/environ', 'utf8'))) return true
    const [own, first] = await Promise.all([readlink('/proc/self/ns/mnt'), readlink('/proc/1/ns/mnt')])
    const [ours, theirs] = await Promise.all([stat(file), stat(`/proc/1/root${file}`)])
    return own !== first && (ours.dev !== theirs.dev || ours.ino !== theirs.ino)
  } catch {
    return false // not root, or no /proc: not ours to change
  }
}
