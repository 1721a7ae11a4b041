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

/** What a listener needs of its device: the engine, the maker of sockets, and who closes it at the latest. */
export type Host = { native: NativeDevice; streams: Streams; doors: Set<{ close(): unknown }> }

/** Listens at every place of `at`; port 0 takes the port that the first place got for all. */
export async function listen(
  host: Host,
  at: readonly Endpoint[],
  onSocket: (socket: Socket) => void,
): Promise<Listener> {
  const opened: NativeListener[] = []
  let closed = false
  const drain = () => {
    for (const one of opened) {
      for (const stream of one.take()) {
        if (closed) closeSync(stream.fd)
        else onSocket(host.streams.adopt(stream))
      }
    }
  }
  const door = {
    close() {
      closed = true
      host.doors.delete(door)
      for (const one of opened) one.close()
      drain()
    },
  }
  host.doors.add(door)
  try {
    for (const { address, port } of at) {
      const chosen = port === 0 ? (opened[0]?.local().port ?? 0) : port
      opened.push(await awaiting(() => host.native.listenTcp({ address, port: chosen }, drain)))
      if (closed) throw new WireguardError('ERR_WIREGUARD_CLOSED', 'the device was closed meanwhile')
    }
  } catch (error) {
    door.close()
    throw error
  }
  drain()
  const addresses = opened.map((one) => one.local())
  const [first] = addresses
  if (first === undefined) throw new WireguardError('ERR_WIREGUARD_NO_ADDRESS', 'this device has no address')
  const close = async () => door.close()
  return { port: first.port, addresses, close, [Symbol.asyncDispose]: close }
}
