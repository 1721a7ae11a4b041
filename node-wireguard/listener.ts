import { closeSync } from 'node:fs'
import type { Socket } from 'node:net'
import { awaiting, WireguardError } from './errors.ts'
import type { NativeDevice, NativeListener } from './native.ts'
import type { Endpoint } from './options.ts'
import type { Streams } from './streams.ts'

/** Something that accepts on the mesh until it is closed. */
export type Listener = AsyncDisposable & {
  /** The port, the same for all addresses. */
  readonly port: number
  /** Where it listens: one place, or one of each family. */
  readonly addresses: readonly Endpoint[]
  /** Stops accepting; idempotent. Connections that were accepted live on. */
  close(): Promise<void>
}

/** Listens at every place of `at`; port 0 takes the port that the first place got for all. */
export async function listen(
  native: NativeDevice,
  streams: Streams,
  at: readonly Endpoint[],
  onSocket: (socket: Socket) => void,
): Promise<Listener> {
  const opened: NativeListener[] = []
  let closed = false
  const drain = () => {
    for (const one of opened) {
      for (const stream of one.take()) {
        if (closed) closeSync(stream.fd)
        else onSocket(streams.adopt(stream))
      }
    }
  }
  const close = async () => {
    closed = true
    for (const one of opened) one.close()
    drain()
  }
  try {
    for (const { address, port } of at) {
      const chosen = port === 0 ? (opened[0]?.local().port ?? 0) : port
      opened.push(await awaiting(() => native.listenTcp({ address, port: chosen }, drain)))
    }
  } catch (error) {
    await close()
    throw error
  }
  drain()
  const addresses = opened.map((one) => one.local())
  const [first] = addresses
  if (first === undefined) throw new WireguardError('ERR_WIREGUARD_NO_ADDRESS', 'this device has no address')
  return { port: first.port, addresses, close, [Symbol.asyncDispose]: close }
}
