import { connect, type Socket } from 'node:net'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { type DataHello, encodeHello, GO, NO, type RelayAddress, refusalCode } from '@ropewalk/shared/tunnel'
import { breakOff } from './break-off.ts'

/** How long the TCP connection may take. */
const CONNECT_TIMEOUT_MS = 10_000
/** A data connection may be idle long and behind NAT: TCP itself asks after this. */
const KEEPALIVE_MS = 15_000

/** How a data connection is made. */
export interface DataOptions {
  readonly relay: RelayAddress
  readonly hello: DataHello
  readonly dataKey: Uint8Array
  readonly signal: AbortSignal
}

/** Dials the relay and says the hello; bytes may not flow before {@link awaitGo}. @throws RopewalkError */
export function dialData({ relay, hello, dataKey, signal }: DataOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(toRopewalkError(signal.reason))
      return
    }
    const socket = connect({
      host: relay.host,
      port: relay.port,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_MS,
    })
    const fail = (error: unknown): void => {
      settle()
      breakOff(socket)
      reject(toRopewalkError(error))
    }
    const aborted = (): void => fail(signal.reason)
    const late = setTimeout(() => fail(new RopewalkError('timeout', 'The relay does not answer')), CONNECT_TIMEOUT_MS)
    const settle = (): void => {
      clearTimeout(late)
      signal.removeEventListener('abort', aborted)
      socket.off('error', fail)
    }
    signal.addEventListener('abort', aborted, { once: true })
    socket.once('error', fail)
    socket.once('connect', () => {
      settle()
      socket.on('error', () => undefined)
      socket.write(encodeHello(hello, dataKey))
      resolve(socket)
    })
  })
}

/**
 * Waits for the relay's word, however long: the caller's signal limits it. What the other end sent right behind it stays
 * in the socket. @throws RopewalkError the relay's refusal, `stream-reset` when it hung up; the socket is then gone
 */
export function awaitGo(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      signal.removeEventListener('abort', aborted)
      socket.off('readable', look)
      socket.off('end', ended)
      socket.off('close', ended)
    }
    const fail = (error: unknown): void => {
      settle()
      breakOff(socket)
      reject(toRopewalkError(error))
    }
    const aborted = (): void => fail(signal.reason)
    const ended = (): void => fail(new RopewalkError('stream-reset', 'The relay hung up'))
    const look = (): void => {
      const word = byteOf(socket)
      if (word === undefined) return
      if (word === GO) {
        settle()
        resolve()
        return
      }
      const code = word === NO ? byteOf(socket) : undefined
      fail(code === undefined ? new RopewalkError('protocol-error') : new RopewalkError(refusalCode(code)))
    }
    if (signal.aborted) {
      aborted()
      return
    }
    signal.addEventListener('abort', aborted, { once: true })
    socket.on('readable', look)
    socket.once('end', ended)
    socket.once('close', ended)
    look()
  })
}

function byteOf(socket: Socket): number | undefined {
  const chunk: Buffer | null = socket.read(1)
  return chunk?.[0]
}
