import type { Duplex } from 'node:stream'
import { errorFromWire, RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import {
  type ControlKind,
  type ControlMessage,
  type ControlOf,
  controlDecoder,
  encodeControl,
  HEARTBEAT_BUSY_MS,
  HEARTBEAT_IDLE_MS,
} from '@ropewalk/shared/tunnel'

/** Bytes that may wait to be sent before the other end counts as dead. */
const MAX_UNSENT_BYTES = 1024 * 1024
/** Messages that may wait unread during the handshake; an honest end sends one at a time. */
const MAX_UNREAD = 8

/** How often a silent other end is asked, in milliseconds. */
export interface Heartbeat {
  readonly idleMs: number
  readonly busyMs: number
}

/** What the owner of a channel is told once it listens. */
export interface ChannelHandlers {
  message(message: ControlMessage): void
}

/** Either end of a control stream: messages in, messages out, and the certainty that the other end lives. */
export interface Channel {
  /** Resolves when it is gone, with the reason; never rejects. */
  readonly closed: Promise<RopewalkError>
  /** Round trip of the last ping in milliseconds. */
  readonly rttMs: number | undefined
  send(message: ControlMessage): void
  /** During the handshake: the next message, which must be of this kind. A `refuse` becomes its error. */
  next<K extends ControlKind>(kind: K, signal: AbortSignal): Promise<ControlOf<K>>
  /** The handshake is done: larger messages, handlers, heartbeat. */
  listen(handlers: ChannelHandlers): void
  /** A request waits (+1) or has its answer (−1): while any waits the heart beats faster. */
  busy(change: 1 | -1): void
  /** Ends it; what was sent still goes out. */
  close(reason: RopewalkError): void
}

/** A channel over a socket that has just been upgraded; `head` came with the upgrade. */
export function createChannel(socket: Duplex, head: Uint8Array, heartbeat?: Heartbeat): Channel {
  return new ControlChannel(socket, head, heartbeat ?? { idleMs: HEARTBEAT_IDLE_MS, busyMs: HEARTBEAT_BUSY_MS })
}

class ControlChannel implements Channel {
  readonly closed: Promise<RopewalkError>
  rttMs: number | undefined
  readonly #socket: Duplex
  readonly #heartbeat: Heartbeat
  readonly #decoder = controlDecoder()
  readonly #unread: ControlMessage[] = []
  #reason: RopewalkError | undefined
  #wake: () => void = () => undefined
  #handlers: ChannelHandlers | undefined
  #timer: NodeJS.Timeout | undefined
  #waiting = 0
  #heardAt = performance.now()
  #ping: { id: number; at: number } | undefined
  #pings = 0

  constructor(socket: Duplex, head: Uint8Array, heartbeat: Heartbeat) {
    this.#socket = socket
    this.#heartbeat = heartbeat
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        clearInterval(this.#timer)
        this.#reason ??= new RopewalkError('stream-reset', 'The control stream ended')
        this.#wake()
        resolve(this.#reason)
      })
    })
    socket.on('error', (error) => {
      this.#reason ??= toRopewalkError(error)
      socket.destroy()
    })
    socket.on('end', () => socket.destroy())
    socket.on('data', (chunk: Uint8Array) => this.#read(chunk))
    if (head.length > 0) this.#read(head)
  }

  send(message: ControlMessage): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return
    this.#socket.write(encodeControl(message))
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.#fail(new RopewalkError('timeout', 'It reads no more'))
  }

  async next<K extends ControlKind>(kind: K, signal: AbortSignal): Promise<ControlOf<K>> {
    const message = await this.#first(signal)
    if (message.kind === 'refuse') throw errorOf(message)
    if (message.kind !== kind) throw new RopewalkError('protocol-error', `Expected ${kind}, not ${message.kind}`)
    return message as ControlOf<K>
  }

  listen(handlers: ChannelHandlers): void {
    this.#decoder.trust()
    this.#handlers = handlers
    this.#heardAt = performance.now()
    this.#timer = setInterval(() => this.#beat(), Math.min(this.#heartbeat.busyMs, this.#heartbeat.idleMs) / 3).unref()
    if (this.#socket.destroyed) clearInterval(this.#timer)
    for (const message of this.#unread.splice(0)) this.#handle(message)
  }

  busy(change: 1 | -1): void {
    this.#waiting += change
  }

  close(reason: RopewalkError): void {
    this.#reason ??= reason
    clearInterval(this.#timer)
    if (this.#socket.destroyed || this.#socket.writableEnded) return
    this.#socket.end(() => this.#socket.destroy())
    // an end that reads nothing would keep the last message and the socket for ever
    const limit = setTimeout(() => this.#socket.destroy(), 1000).unref()
    void this.closed.then(() => clearTimeout(limit))
  }

  #fail(reason: RopewalkError): void {
    this.#reason ??= reason
    this.#socket.destroy()
  }

  #first(signal: AbortSignal): Promise<ControlMessage> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        const message = this.#unread[0]
        if (message === undefined && this.#reason === undefined && !signal.aborted) return
        this.#wake = () => undefined
        signal.removeEventListener('abort', settle)
        if (message !== undefined) resolve(this.#unread.shift() ?? message)
        else reject(this.#reason ?? toRopewalkError(signal.reason))
      }
      this.#wake = settle
      signal.addEventListener('abort', settle)
      settle()
    })
  }

  #read(chunk: Uint8Array): void {
    this.#heardAt = performance.now()
    try {
      for (const message of this.#decoder.push(chunk)) this.#take(message)
    } catch (error) {
      this.#fail(toRopewalkError(error))
    }
  }

  #take(message: ControlMessage): void {
    if (this.#handlers !== undefined) this.#handle(message)
    else if (this.#unread.length >= MAX_UNREAD) throw new RopewalkError('protocol-error', 'Too much too early')
    else this.#unread.push(message)
    this.#wake()
  }

  #handle(message: ControlMessage): void {
    if (message.kind === 'refuse') this.#fail(errorOf(message))
    else if (message.kind !== 'ping') this.#handlers?.message(message)
    else if (!message.reply) this.send({ kind: 'ping', id: message.id, reply: true })
    else if (message.id === this.#ping?.id) {
      this.rttMs = performance.now() - this.#ping.at
      this.#ping = undefined
    }
  }

  #beat(): void {
    const now = performance.now()
    const patience = this.#waiting > 0 ? this.#heartbeat.busyMs : this.#heartbeat.idleMs
    if (this.#ping !== undefined) {
      if (now - Math.max(this.#heardAt, this.#ping.at) >= patience) {
        this.#fail(new RopewalkError('timeout', 'The other end of the control stream is silent'))
      }
    } else if (this.#waiting > 0 || now - this.#heardAt >= patience || this.rttMs === undefined) {
      this.#pings = (this.#pings + 1) >>> 0
      this.#ping = { id: this.#pings, at: now }
      this.send({ kind: 'ping', id: this.#pings, reply: false })
    }
  }
}

/** The error that a `refuse`, `reset` or `drain` tells. */
export function errorOf({ code, message }: { readonly code: string; readonly message: string }): RopewalkError {
  return errorFromWire(code, message)
}
