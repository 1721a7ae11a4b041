import { RopewalkError } from '@ropewalk/shared/errors'
import { isNodeId, type NodeId } from '@ropewalk/shared/identity'

/** Where a joiner knocks first: a relay by URL and node id, or a libp2p multiaddr. */
export type WayIn =
  | { readonly kind: 'relay'; readonly url: string; readonly nodeId: NodeId }
  | { readonly kind: 'multiaddr'; readonly address: string; readonly nodeId: NodeId }

const MAX_TEXT = 300

/**
 * A way in out of text: `https://host:443/#12D3Koo…` or `/ip4/…/tcp/…/p2p/12D3Koo…`. The node id is part of both, so
 * nobody else can answer there. @throws RopewalkError `bad-input`
 */
export function parseWayIn(text: string): WayIn {
  const found = text.length > MAX_TEXT ? undefined : text.startsWith('/') ? fromMultiaddr(text) : fromUrl(text)
  if (found === undefined) {
    throw new RopewalkError('bad-input', `“${text.slice(0, 80)}” is no way into a network`, {
      hint: 'write https://HOST:443/#NODE_ID or /ip4/A.B.C.D/tcp/PORT/p2p/NODE_ID',
    })
  }
  return found
}

/** A way in as its text. */
export function formatWayIn(way: WayIn): string {
  return way.kind === 'relay' ? `${way.url}#${way.nodeId}` : way.address
}

function fromMultiaddr(address: string): WayIn | undefined {
  const nodeId = /\/p2p\/(\w+)$/.exec(address)?.[1] ?? ''
  return isNodeId(nodeId) ? { kind: 'multiaddr', address, nodeId } : undefined
}

function fromUrl(text: string): WayIn | undefined {
  const parsed = URL.parse(text)
  if (parsed === null || !(parsed.protocol === 'https:' || parsed.protocol === 'http:')) return undefined
  const nodeId = parsed.hash.slice(1)
  return isNodeId(nodeId) ? { kind: 'relay', url: withPort(parsed), nodeId } : undefined
}

/** A relay's URL in its one form, its port always said: `https://host:443/`. @throws RopewalkError `bad-input` */
export function parseRelayUrl(text: string): string {
  const parsed = text.length > MAX_TEXT ? null : URL.parse(text)
  if (parsed === null || !(parsed.protocol === 'https:' || parsed.protocol === 'http:') || parsed.username !== '') {
    throw new RopewalkError('bad-input', `“${text.slice(0, 80)}” is not the URL of a relay`, {
      hint: 'write https://HOST:443/',
    })
  }
  return withPort(parsed)
}

function withPort(url: URL): string {
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port
  return `${url.protocol}//${url.hostname}:${port}/`
}
