import { RopewalkError } from '../errors/index.ts'
import { isNodeId, type NodeId } from '../identity/index.ts'

/** Where a relay is and who it must prove to be. */
export interface RelayAddress {
  readonly host: string
  readonly port: number
  /** False for `http://` on loopback only: no TLS, for tests and demonstrations. */
  readonly secure: boolean
  readonly nodeId: NodeId
  /** Without the node id: for people and logs. */
  readonly url: string
}

/** A relay's address out of `https://host:443/` and its node id. @throws RopewalkError `bad-input` */
export function parseRelayUrl(url: string, nodeId: string): RelayAddress {
  const parsed = URL.parse(url)
  const secure = parsed?.protocol === 'https:'
  if (parsed === null || !isNodeId(nodeId) || !(secure || parsed.protocol === 'http:') || url.length > 300) {
    throw new RopewalkError('bad-input', 'That is not a relay’s URL', { hint: 'https://HOST:443/#NODE_ID' })
  }
  const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1')
  if (!secure && !isLoopback(host)) {
    throw new RopewalkError('insecure-config', 'A relay without TLS is taken on this machine only', {
      hint: 'use its https:// URL',
    })
  }
  const port = parsed.port === '' ? (secure ? 443 : 80) : Number(parsed.port)
  return { host, port, secure, nodeId, url: `${parsed.origin}/` }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host)
}
