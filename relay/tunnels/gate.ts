import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { type Channel, createChannel, exporterOf, type Heartbeat } from '@ropewalk/peer/tunnels'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import type { SigningKey } from '@ropewalk/shared/identity'
import { TUNNEL_PATH, TUNNEL_UPGRADE, type TunnelMembers } from '@ropewalk/shared/tunnel'
import { proveClient } from './handshake.ts'
import { createSession, type Session } from './session.ts'
import type { Sources } from './sources.ts'

/** How strict the gate is. */
export interface GateOptions {
  /** Told to clients: most streams of each. */
  readonly maxStreams: number
  /** From the upgrade to the proof, in milliseconds. */
  readonly proofTimeoutMs: number
  /** Control streams without TLS, from loopback only. */
  readonly insecureLoopback: boolean
  readonly heartbeat: Heartbeat | undefined
}

/** What it needs of the relay. */
export interface GateDependencies {
  readonly key: SigningKey
  readonly members: TunnelMembers
  readonly sources: Sources
  readonly entered: (session: Session) => void
  readonly refused: (actor: string, reason: RopewalkError) => void
}

/** Lets control streams in: it stands beside Fastify, whose hooks an upgrade passes by. */
export interface Gate {
  /** False when the request is for something else and the socket untouched. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean
  /** Lets nobody in any more and drops whoever has not proven anything. */
  close(): void
  /** Drops the rest: Fastify's close does not know upgraded sockets. */
  destroy(): void
}

/** An open gate. */
export function createGate(options: GateOptions, dependencies: GateDependencies): Gate {
  const sockets = new Set<Duplex>()
  const closed = new AbortController()

  const answerTo = (request: IncomingMessage, secure: boolean): number => {
    if (request.method !== 'GET') return 405
    if (request.headers.upgrade !== TUNNEL_UPGRADE) return 426
    if (!secure && !(options.insecureLoopback && isLoopback(request.socket.remoteAddress))) return 403
    return closed.signal.aborted ? 503 : 101
  }

  const prove = async (channel: Channel, exporter: Uint8Array, source: string): Promise<void> => {
    try {
      const signal = AbortSignal.any([closed.signal, AbortSignal.timeout(options.proofTimeoutMs)])
      const proven = await proveClient(channel, exporter, { ...dependencies, maxStreams: options.maxStreams, signal })
      dependencies.entered(createSession(proven, channel))
    } catch (error) {
      const reason = toRopewalkError(error)
      dependencies.refused(source, reason)
      const message = reason.code === 'internal' ? '' : reason.message.slice(0, 100)
      channel.send({ kind: 'refuse', code: reason.code, message })
      channel.close(reason)
    }
  }

  return {
    upgrade(request, socket, head) {
      // the path alone, taken literally: neither an absolute URI nor a header names another place
      if (request.url !== TUNNEL_PATH) return false
      const source = request.socket.remoteAddress ?? 'unknown'
      socket.on('error', () => socket.destroy())
      const status = answerTo(request, socket instanceof TLSSocket)
      const release = status === 101 ? dependencies.sources.take(source) : undefined
      if (release === undefined) {
        dependencies.refused(
          source,
          new RopewalkError(status === 101 ? 'limit-reached' : 'bad-input', `Refused with HTTP ${status}`),
        )
        const line = `HTTP/1.1 ${status === 101 ? 503 : status} Refused`
        socket.end(`${line}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy())
        return true
      }
      request.socket.setTimeout(0)
      request.socket.setNoDelay(true)
      sockets.add(socket)
      socket.once('close', () => {
        release()
        sockets.delete(socket)
      })
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${TUNNEL_UPGRADE}\r\nConnection: Upgrade\r\n\r\n`)
      void prove(createChannel(socket, head, options.heartbeat), exporterOf(socket), source).finally(release)
      return true
    },
    close: () => closed.abort(new RopewalkError('draining')),
    destroy() {
      for (const socket of sockets) if (!socket.writableEnded) socket.destroy()
    },
  }
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(?:::ffff:)?127\.|^::1$/.test(address)
}
