import { connect, type Socket } from 'node:net'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { SEGMENT_PREFIX_BYTES } from '@ropewalk/shared/tunnel'
import { breakOff } from './break-off.ts'
import type { InnerTls } from './inner-tls.ts'
import { createSegments } from './segments.ts'

const TIMEOUT_MS = 5000
/** A service may listen on one of them only. */
const ADDRESSES = ['127.0.0.1', '::1'] as const
/** What one read of the target takes, prefix counted: eight full TLS records. */
const FRAME_BYTES = 128 * 1024

/** A connection to a service on this machine's loopback that becomes the end of a stream. */
export interface Target {
  readonly socket: Socket
  /** Joins it to a stream; `closed` is called once when both are gone. */
  join(inner: InnerTls, head: Uint8Array, closed: () => void): void
}

/** Dials a port of this machine's loopback. @throws RopewalkError `target-refused` when nothing answers there */
export async function dialTarget(port: number, signal: AbortSignal): Promise<Target> {
  let cause: unknown
  for (const host of ADDRESSES) {
    try {
      return await dial(host, port, signal)
    } catch (error) {
      if (signal.aborted) throw toRopewalkError(signal.reason)
      cause ??= error
    }
  }
  throw new RopewalkError('target-refused', `Nothing listens on port ${port} of the worker's loopback`, { cause })
}

function dial(host: string, port: number, signal: AbortSignal): Promise<Target> {
  // the service's bytes are read straight behind the room for their prefix: no copy, and no garbage for each read
  const frame = Buffer.allocUnsafeSlow(FRAME_BYTES)
  let onRead = (_length: number): boolean => false
  const socket = connect({
    host,
    port,
    allowHalfOpen: true,
    noDelay: true,
    onread: { buffer: frame.subarray(SEGMENT_PREFIX_BYTES), callback: (length) => onRead(length) },
  })
  const target: Target = {
    socket,
    join: (inner, head, closed) => {
      onRead = joinTarget(socket, frame, { inner, head, closed })
      socket.resume()
    },
  }
  return new Promise((resolve, reject) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)])
    const fail = (error: unknown): void => {
      limit.removeEventListener('abort', aborted)
      breakOff(socket)
      reject(error)
    }
    const aborted = (): void => fail(limit.reason)
    limit.addEventListener('abort', aborted, { once: true })
    socket.once('error', fail)
    socket.once('connect', () => {
      limit.removeEventListener('abort', aborted)
      socket.off('error', fail)
      socket.on('error', () => undefined)
      socket.pause()
      resolve(target)
    })
  })
}

interface Joint {
  readonly inner: InnerTls
  readonly head: Uint8Array
  readonly closed: () => void
}

/** Gives what is to be done with each read; false stops reading. */
function joinTarget(socket: Socket, frame: Buffer, { inner, head, closed }: Joint): (length: number) => boolean {
  let open = 2
  const shut = (): void => {
    if (--open === 0) closed()
  }
  let corked = false
  const uncork = (): void => {
    corked = false
    socket.uncork()
  }
  const segments = createSegments(inner, head, {
    data(bytes) {
      if (!corked) {
        corked = true
        socket.cork()
        process.nextTick(uncork)
      }
      if (!socket.write(bytes)) segments.pause()
    },
    end: () => socket.end(),
    closed(error) {
      if (error !== undefined) breakOff(socket)
      shut()
    },
  })
  segments.resume()
  socket.on('drain', () => segments.resume())
  socket.once('end', () => segments.finish(() => undefined))
  socket.once('close', () => {
    // a clean end has travelled already; anything else must not look like one
    if (!socket.readableEnded || !socket.writableFinished) segments.destroy()
    shut()
  })
  return (length) => {
    let sent = false
    let waiting = false
    segments.send(frame, length, () => {
      sent = true
      if (waiting) socket.resume()
    })
    waiting = !sent
    // reading goes on by `resume` alone: stopping and starting for a write that is done already would cost more
    if (waiting) socket.pause()
    return true
  }
}
