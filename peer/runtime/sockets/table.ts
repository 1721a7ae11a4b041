import { open, readFile } from 'node:fs/promises'

/** A TCP socket of this machine that listens. */
export interface ListeningSocket {
  readonly port: number
  /** User id of who opened it, in this process's user namespace. */
  readonly user: number
}

/** The state TCP_LISTEN of `proc_net_tcp(5)`. */
const LISTENS = '0A'
const CHUNK_BYTES = 65_536

/** All sockets that listen on TCP, on whatever address. None where the kernel does not tell. */
export async function listeningSockets(): Promise<ListeningSocket[]> {
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => firstRows(`/proc/net/${name}`).catch(() => '')))
  return tables.flatMap(rowsOf).filter(({ state }) => state === LISTENS)
}

/** Ports that somebody holds: of TCP those that listen, of UDP all. */
export async function usedPorts(): Promise<ReadonlySet<number>> {
  const [tcp, ...udp] = await Promise.all([
    listeningSockets(),
    ...['udp', 'udp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')),
  ])
  return new Set([...tcp, ...udp.flatMap(rowsOf)].map(({ port }) => port))
}

/** The kernel lists those that listen first: connections, of which there may be many thousands, are not read. */
async function firstRows(path: string): Promise<string> {
  await using file = await open(path)
  let text = ''
  for (;;) {
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(CHUNK_BYTES) })
    text += buffer.toString('latin1', 0, bytesRead)
    if (bytesRead === 0 || rowsOf(text).some(({ state }) => state !== LISTENS)) return text
  }
}

/** The rows of a table as `proc_net_tcp(5)` has it; of a part of it, those that are whole. */
export function rowsOf(table: string): (ListeningSocket & { readonly state: string })[] {
  const rows = table.matchAll(
    /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) \S+ \S+ \S+\s+(\d+)\s/gm,
  )
  return [...rows].map(([, port = '', state = '', user]) => ({
    port: Number.parseInt(port, 16),
    state,
    user: Number(user),
  }))
}
