import type { Socket } from 'node:net'
import { RopewalkError } from '@ropewalk/shared/errors'
import { HELLO_BYTES, MAX_UNPROVEN_BYTES } from '@ropewalk/shared/tunnel'

/**
 * The first 64 bytes of a data connection; what follows them stays in the socket.
 * @throws RopewalkError `timeout`, `stream-reset`, `protocol-error` when it says more than it may before it is known
 */
export function readHello(socket: Socket, timeoutMs: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      clearTimeout(late)
      socket.off('readable', look)
      socket.off('end', gone)
      socket.off('close', gone)
    }
    const fail = (error: RopewalkError): void => {
      settle()
      reject(error)
    }
    const late = setTimeout(() => fail(new RopewalkError('timeout', 'No hello in time')), timeoutMs)
    const gone = (): void => fail(new RopewalkError('stream-reset', 'It hung up before its hello'))
    const look = (): void => {
      const hello: Buffer | null = socket.read(HELLO_BYTES)
      if (hello === null) return
      // at the end of a stream `read` gives what there is
      if (hello.length < HELLO_BYTES) gone()
      else if (socket.readableLength > MAX_UNPROVEN_BYTES)
        fail(new RopewalkError('protocol-error', 'Too much too early'))
      else {
        settle()
        resolve(hello)
      }
    }
    socket.on('readable', look)
    socket.once('end', gone)
    socket.once('close', gone)
    look()
  })
}
