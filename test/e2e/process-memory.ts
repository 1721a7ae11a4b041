import { open, readFile } from 'node:fs/promises'

const CHUNK_BYTES = 4 << 20

/** How often `wanted` stands in a process's readable memory: what a core dump would hold, without writing it. */
export async function countInMemory(pid: number, wanted: Buffer): Promise<number> {
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8')
  await using memory = await open(`/proc/${pid}/mem`, 'r')
  const buffer = Buffer.alloc(CHUNK_BYTES)
  let count = 0
  for (const line of maps.split('\n')) {
    const [, from, to, name] = /^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+\s*(.*)$/.exec(line) ?? []
    if (from === undefined || to === undefined || name?.startsWith('[v')) continue // [vvar] cannot be read
    const end = Number.parseInt(to, 16)
    const step = CHUNK_BYTES - wanted.length + 1
    for (let at = Number.parseInt(from, 16); at < end; at += step) {
      const length = Math.min(CHUNK_BYTES, end - at)
      const read = await memory.read(buffer, 0, length, at).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'EIO' || error.code === 'EFAULT') return { bytesRead: 0 } // given back since the map was read
        throw error
      })
      count += occurrences(buffer.subarray(0, read.bytesRead), wanted)
    }
  }
  return count
}

/** How often `wanted` stands in `bytes`. */
export function occurrences(bytes: Buffer, wanted: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + wanted.length)) count++
  return count
}
