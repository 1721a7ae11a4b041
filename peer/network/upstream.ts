import { createSocket } from 'node:dgram'
import { isIP, isIPv6 } from 'node:net'
import { MESSAGE_LIMIT_BYTES } from './zone.ts'

const UPSTREAM_TIMEOUT_MS = 3_000
const DNS_PORT = 53

/** Asks another resolver by UDP; the answer's id must be that of the query, and it must come from the server asked. */
export type AskUpstream = (query: Uint8Array, server: string) => Promise<Uint8Array | undefined>

/** The servers that a resolv.conf names, in its order; an address that is our own is left out. */
export function nameserversOf(resolvConf: string, own: ReadonlySet<string>): string[] {
  return resolvConf
    .split('\n')
    .map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1])
    .filter((server): server is string => server !== undefined && isIP(server.split('%')[0] ?? '') > 0)
    .filter((server) => !own.has(server))
}

export const askUpstream: AskUpstream = (query, server) =>
  new Promise((resolve) => {
    const socket = createSocket(isIPv6(server.split('%')[0] ?? '') ? 'udp6' : 'udp4')
    const finish = (answer: Uint8Array | undefined) => {
      clearTimeout(timer)
      socket.close()
      resolve(answer)
    }
    const timer = setTimeout(() => finish(undefined), UPSTREAM_TIMEOUT_MS)
    socket.on('error', () => finish(undefined))
    socket.on('message', (answer) => {
      const ours = answer.length >= 12 && answer[0] === query[0] && answer[1] === query[1]
      if (ours && answer.length <= MESSAGE_LIMIT_BYTES) finish(answer)
    })
    socket.connect(DNS_PORT, server, () => socket.send(query))
  })
