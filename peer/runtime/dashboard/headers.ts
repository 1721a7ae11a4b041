import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'

/** For one connection only (RFC 9110 §7.6.1). */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
/** Browsers send cookies of all ports of a host, and by Referer the door's secret path, which Ray would write to its log. */
const OF_THE_BROWSER = new Set(['host', 'cookie', 'authorization', 'x-ray-authorization', 'origin', 'referer'])
/** What a head could do to the browser beyond its page. */
const OF_THE_HEAD = new Set([
  'set-cookie',
  'clear-site-data',
  'strict-transport-security',
  'alt-svc',
  'service-worker-allowed',
])

/** A browser's question as the head is asked it. */
export function questionHeaders(headers: IncomingHttpHeaders, token: string): OutgoingHttpHeaders {
  return { ...without(headers, OF_THE_BROWSER), host: 'ray', authorization: `Bearer ${token}` }
}

/** The head's answer as the browser is given it; `base` is where the dashboard's root is for it. */
export function answerHeaders(headers: IncomingHttpHeaders, base: string): OutgoingHttpHeaders {
  const { location } = headers
  return {
    ...without(headers, OF_THE_HEAD),
    ...(location?.startsWith('/') === true ? { location: `${base}${location}` } : {}),
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    // its own pages may show one another; no other page may show them
    'content-security-policy': "frame-ancestors 'self'",
  }
}

function without(headers: IncomingHttpHeaders, left: ReadonlySet<string>): OutgoingHttpHeaders {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase())
  const kept = Object.entries(headers).filter(
    ([name]) => !HOP_BY_HOP.has(name) && !left.has(name) && !named.includes(name),
  )
  return Object.fromEntries(kept)
}
