import { readFile } from 'node:fs/promises'

const TABLES = ['tcp', 'tcp6', 'udp', 'udp6'] as const
const LISTENS = '0A'

/** Ports of this machine that somebody holds: those that listen, and every UDP port. None where the kernel does not tell. */
export async function usedPorts(): Promise<ReadonlySet<number>> {
  const texts = await Promise.all(TABLES.map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')))
  return new Set(texts.flatMap((text, index) => portsOf(text, TABLES[index]?.startsWith('tcp') === true)))
}

/** Local ports of a table as `proc_net_tcp(5)` has it. */
export function portsOf(table: string, listeningOnly: boolean): number[] {
  const rows = table.matchAll(/^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) /gm)
  return [...rows].flatMap(([, port = '', state]) =>
    listeningOnly && state !== LISTENS ? [] : [Number.parseInt(port, 16)],
  )
}
