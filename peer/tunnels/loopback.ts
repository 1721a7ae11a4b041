import { connect, type Socket } from 'node:net'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { breakOff } from './break-off.ts'

const TIMEOUT_MS = 5000
/** A service may listen on one of them only. */
const ADDRESSES = ['127.0.0.1', '::1'] as const

/** Dials a port of this machine's loopback. @throws RopewalkError `target-refused` when nothing answers there */
export async function dialLoopback(port: number, signal: AbortSignal): Promise<Socket> {
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

/** Dials a port of this machine's own mesh address. @throws RopewalkError `target-refused` when nothing answers there */
export async function dialSelf(address: string, port: number, signal: AbortSignal): Promise<Socket> {
  try {
    return await dial(address, port, signal)
  } catch (cause) {
    if (signal.aborted) throw toRopewalkError(signal.reason)
    throw new RopewalkError('target-refused', `Nothing listens on port ${port} of the worker's mesh address`, { cause })
  }
}

function dial(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true })
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
      resolve(socket)
    })
  })
}
