import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, isIPv6, type Server, type Socket } from 'node:net'
import { RopewalkError } from '@ropewalk/shared/errors'
import type { Startable } from '@ropewalk/shared/lifecycle'
import * as dns from 'dns-packet'
import type { AskUpstream } from './upstream.ts'
import { MESSAGE_LIMIT_BYTES, type Zone } from './zone.ts'

const TCP_IDLE_MS = 10_000
const TCP_CONNECTIONS_LIMIT = 64
const PENDING_UPSTREAM_LIMIT = 256
const UDP_ANSWER_LIMIT_BYTES = 512
const TRUNCATED = 1 << 9
const SERVFAIL = 2
const REFUSED = 5

export interface ResolverOptions {
  /** Where to listen, by UDP and TCP: this node's mesh addresses. */
  readonly addresses: readonly string[]
  /** 53 unless a test says otherwise; 0 picks one. */
  readonly port: number
  /** The resolvers for all other names; none: such queries are refused. */
  readonly upstreams: () => readonly string[]
}

export interface ResolverDependencies {
  readonly zone: Zone
  readonly ask: AskUpstream
}

/** Serves the network's names on the mesh addresses of this node, and hands every other name to the upstream resolvers. */
export interface Resolver extends Startable {
  /** The port in use, once started. */
  readonly port: number
}

export function createResolver(options: ResolverOptions, dependencies: ResolverDependencies): Resolver {
  return new MeshResolver(options, dependencies)
}

class MeshResolver implements Resolver {
  port: number
  readonly #options: ResolverOptions
  readonly #zone: Zone
  readonly #ask: AskUpstream
  #udp: UdpSocket[] = []
  #tcp: Server[] = []
  readonly #connections = new Set<Socket>()
  #pending = 0

  constructor(options: ResolverOptions, { zone, ask }: ResolverDependencies) {
    this.#options = options
    this.port = options.port
    this.#zone = zone
    this.#ask = ask
  }

  async start(): Promise<void> {
    if (this.#udp.length > 0) return
    try {
      for (const address of this.#options.addresses) await this.#listen(address)
    } catch (cause) {
      await this.stop()
      throw new RopewalkError('address-in-use', `The mesh's names cannot be served on port ${this.port}.`, {
        cause,
        hint: 'see what else listens on that port of the mesh address (ss -lunp), or start with --no-names',
      })
    }
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections) connection.destroy()
    const sockets = this.#udp.map((socket) => new Promise<void>((done) => socket.close(done)))
    const servers = this.#tcp.map((server) => new Promise<void>((done) => server.close(() => done())))
    this.#udp = []
    this.#tcp = []
    await Promise.all([...sockets, ...servers])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #listen(address: string): Promise<void> {
    const udp = createSocket(isIPv6(address) ? { type: 'udp6', ipv6Only: true } : { type: 'udp4' })
    this.#udp.push(udp)
    udp.on('message', (query, from) => void this.#overUdp(udp, query, from))
    udp.bind(this.port, address)
    await once(udp, 'listening')
    udp.on('error', () => {}) // e.g. an answer that cannot be sent: the client asks again
    this.port = udp.address().port
    const tcp = createServer((connection) => this.#overTcp(connection))
    this.#tcp.push(tcp)
    tcp.maxConnections = TCP_CONNECTIONS_LIMIT
    tcp.listen({ port: this.port, host: address, ipv6Only: isIPv6(address) })
    await once(tcp, 'listening')
  }

  async #overUdp(socket: UdpSocket, query: Buffer, from: RemoteInfo): Promise<void> {
    const answer = await this.#answer(query)
    if (answer === undefined || !this.#udp.includes(socket)) return
    const limit = Math.max(UDP_ANSWER_LIMIT_BYTES, offeredSize(query))
    socket.send(answer.length <= limit ? answer : truncated(answer), from.port, from.address)
  }

  #overTcp(connection: Socket): void {
    this.#connections.add(connection)
    connection.setTimeout(TCP_IDLE_MS, () => connection.destroy())
    connection.on('error', () => {})
    connection.on('close', () => this.#connections.delete(connection))
    let received = Buffer.alloc(0)
    connection.on('data', async (bytes) => {
      received = Buffer.concat([received, bytes])
      while (received.length >= 2) {
        const length = received.readUInt16BE(0)
        if (length < 12 || length > MESSAGE_LIMIT_BYTES) {
          connection.destroy()
          return
        }
        if (received.length < 2 + length) return
        const query = received.subarray(2, 2 + length)
        received = received.subarray(2 + length)
        const answer = await this.#answer(query)
        if (answer === undefined || !connection.writable) {
          connection.destroy()
          return
        }
        const prefix = Buffer.alloc(2)
        prefix.writeUInt16BE(answer.length)
        connection.write(Buffer.concat([prefix, answer]))
      }
    })
  }

  async #answer(query: Uint8Array): Promise<Uint8Array | undefined> {
    const reply = this.#zone.reply(query)
    switch (reply.kind) {
      case 'answer':
        return dns.encode(reply.packet)
      case 'foreign':
        return await this.#fromUpstream(query)
      case 'malformed':
        return undefined
    }
  }

  async #fromUpstream(query: Uint8Array): Promise<Uint8Array> {
    const upstreams = this.#options.upstreams()
    if (upstreams.length === 0) return failed(query, REFUSED)
    if (this.#pending >= PENDING_UPSTREAM_LIMIT) return failed(query, SERVFAIL)
    this.#pending += 1
    try {
      for (const server of upstreams) {
        const answer = await this.#ask(query, server)
        if (answer !== undefined) return answer
      }
      return failed(query, SERVFAIL)
    } finally {
      this.#pending -= 1
    }
  }
}

/** The answer size that a client offers by EDNS (RFC 6891), in bytes; 0 when it offers none. */
function offeredSize(query: Buffer): number {
  const edns = dns.decode(query).additionals?.find((record) => record.type === 'OPT')
  return edns?.type === 'OPT' ? Math.min(edns.udpPayloadSize, MESSAGE_LIMIT_BYTES) : 0
}

/** The header and question with the TC bit: the client asks again by TCP. */
function truncated(answer: Uint8Array): Uint8Array {
  const { id = 0, flags = 0, questions = [] } = dns.decode(Buffer.from(answer))
  return dns.encode({ type: 'response', id, flags: flags | TRUNCATED, questions })
}

function failed(query: Uint8Array, rcode: number): Uint8Array {
  const { id = 0, flags = 0, questions = [] } = dns.decode(Buffer.from(query))
  return dns.encode({
    type: 'response',
    id,
    flags: (flags & dns.RECURSION_DESIRED) | dns.RECURSION_AVAILABLE | rcode,
    questions,
  })
}
