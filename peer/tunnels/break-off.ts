import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * Ends a connection so that the other side sees it broken, not finished: by RST on TCP. What cannot reset
 * (unix sockets, TLS, a socketpair) is destroyed.
 */
export function breakOff(stream: Duplex): void {
  if (stream.destroyed) return
  // a late failure of a connection that we give up is nobody's affair
  stream.on('error', ignore)
  if (stream instanceof Socket && stream.remoteFamily !== undefined && !('encrypted' in stream))
    stream.resetAndDestroy()
  else stream.destroy()
}

function ignore(): void {}
