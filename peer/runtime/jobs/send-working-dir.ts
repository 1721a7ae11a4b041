import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { Logger } from '@ropewalk/shared/logger'
import type { PackageStore } from './face.ts'
import { readPackage, writePackage } from './package.ts'

const MAX_WORKING_DIR_BYTES = 500_000_000
const CHUNK_BYTES = 65_536

export interface SendOptions {
  readonly signal: AbortSignal
  readonly logger: Logger
  /** Bytes of the packed working directory; never called when it is there already. */
  readonly onProgress?: (sentBytes: number, totalBytes: number) => void
  /** Most bytes of its files, before they are packed; 500 MB unless said. */
  readonly maxBytes?: number
}

/**
 * Packs a working directory, and brings it to a cluster unless it is there. @returns its name there
 * @throws RopewalkError `too-large`, `bad-input`, `not-found`, `conflict` for a file that changed meanwhile
 */
export async function sendWorkingDir(directory: string, to: PackageStore, options: SendOptions): Promise<string> {
  const { signal, logger, onProgress = () => {}, maxBytes = MAX_WORKING_DIR_BYTES } = options
  const packed = await readPackage(directory, { maxBytes, signal, logger })
  if (await to.hasPackage(packed.name, signal)) return packed.name
  const folder = await mkdtemp(join(tmpdir(), 'ropewalk-job-'))
  try {
    const file = join(folder, 'package.zip')
    const bytes = await writePackage(packed, file, signal)
    const content = Readable.from(counted(file, (sent) => onProgress(sent, bytes)))
    await to.putPackage(packed.name, { bytes, content }, signal)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return packed.name
}

/** A file's bytes, saying how many have gone. */
async function* counted(path: string, onSent: (bytes: number) => void): AsyncIterable<Buffer> {
  let sent = 0
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>) {
    yield chunk
    sent += chunk.length
    onSent(sent)
  }
}
