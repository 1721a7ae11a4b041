import type { NetworkInterfaceInfo } from 'node:os'
import {
  decodeForwardGrant,
  encodeForwardRequest,
  FORWARD_LIMIT_BYTES,
  FORWARD_PROTOCOL,
  type ForwardGrant,
} from '@ropewalk/shared/forward'
import type { NodeId } from '@ropewalk/shared/identity'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import type { Link } from '@ropewalk/shared/records'
import type { Device, DeviceEvent } from 'node-wireguard'
import { type Discovery, isRelay, type Member } from '../discovery/index.ts'
import { EnginePeers } from './engine-peers.ts'
import { OwnCandidates, stunServers } from './own-candidates.ts'
import { type PeerLink, reportLink } from './peer-links.ts'
import { RelaySessions } from './relay-sessions.ts'
import { Signals } from './signals.ts'

const INTERFACES_EVERY_MS = 2_000
/** Several changes at once (a join, a burst of records) are one reconfiguration. */
const SETTLE_MS = 20
/** How often a member without a direct path is called again: soon, then ever more seldom. */
const CALL_AGAIN_MS = [1_000, 3_000, 10_000, 30_000, 120_000] as const

export interface ConnectivityOptions {
  /** Only these interfaces of this machine; all usable ones when absent. */
  readonly interfaces?: readonly string[] | undefined
  /** The mesh's own interfaces: never candidates. */
  readonly meshInterfaces: readonly string[]
}

export interface ConnectivityDependencies {
  readonly device: Device
  readonly discovery: Discovery
  readonly networkInterfaces: () => NodeJS.Dict<NetworkInterfaceInfo[]>
  readonly logger: Logger
  /** Milliseconds that never jump. */
  readonly nowMs: () => number
  readonly random: () => number
}

/** Finds ways to every member and keeps the engine told; the engine probes them and chooses. */
export interface Connectivity extends Startable {
  /** How a member is reached now. */
  link(node: NodeId): PeerLink | undefined
  links(): PeerLink[]
  /** The links in the words of a report. */
  report(): Link[]
  /** Called when a path came, went or was taken. */
  onChange(listener: () => void): () => void
}

export function createConnectivity(options: ConnectivityOptions, dependencies: ConnectivityDependencies): Connectivity {
  return new Room(options, dependencies)
}

interface Calls {
  tries: number
  nextAtMs: number
}

class Room implements Connectivity {
  readonly #deps: ConnectivityDependencies
  readonly #own: OwnCandidates
  readonly #sessions: RelaySessions
  readonly #signals: Signals
  readonly #engine: EnginePeers
  readonly #life: Startable
  readonly #listeners = new Set<() => void>()
  readonly #calls = new Map<NodeId, Calls>()
  readonly #stopping = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #settle: NodeJS.Timeout | undefined
  #nextInterfacesAtMs = 0
  #relaysUp = new Set<NodeId>()

  constructor(options: ConnectivityOptions, dependencies: ConnectivityDependencies) {
    this.#deps = dependencies
    const { device, discovery, networkInterfaces, logger, nowMs } = dependencies
    this.#own = new OwnCandidates(
      { only: options.interfaces, except: options.meshInterfaces, sockets: device.sockets },
      { networkInterfaces, sendStun: (socket, to, bytes) => this.#sendStun(socket, to, bytes) },
    )
    this.#sessions = new RelaySessions({
      request: (relay, peer) => this.#requestSession(relay, peer),
      changed: (peer) => {
        this.#engine.updatePaths(peer)
        this.#schedule(0)
      },
      random: dependencies.random,
    })
    this.#engine = new EnginePeers({ device, own: this.#own, sessions: this.#sessions, logger })
    this.#signals = new Signals({
      discovery,
      describe: () => ({ candidates: this.#own.list(nowMs()), nat: this.#own.natClass(), relays: this.#relayIds() }),
      onSignal: (from, signal) => {
        this.#engine.setCandidates(from.nodeId, signal.candidates)
        this.#engine.punch(from.nodeId)
      },
      logger,
      nowMs,
    })
    this.#life = startable({ start: () => this.#begin(), stop: () => this.#end() })
  }

  start(options?: { signal?: AbortSignal | undefined }): Promise<void> {
    return this.#life.start(options)
  }

  stop(): Promise<void> {
    return this.#life.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  link(node: NodeId): PeerLink | undefined {
    return this.#engine.link(node)
  }

  links(): PeerLink[] {
    return this.#engine.links()
  }

  report(): Link[] {
    return this.links().map(reportLink)
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #begin(): void {
    this.#signals.start()
    const unsubscribe = this.#deps.discovery.onChange(() => this.#reconfigureSoon())
    this.#stopping.signal.addEventListener('abort', unsubscribe, { once: true })
    void this.#listen()
    this.#reconfigure()
    this.#publish()
    this.#schedule(0)
  }

  #end(): void {
    this.#stopping.abort()
    this.#signals.stop()
    clearTimeout(this.#timer)
    clearTimeout(this.#settle)
    this.#listeners.clear()
  }

  async #listen(): Promise<void> {
    for await (const batch of this.#deps.device.events) {
      if (this.#stopping.signal.aborted) return
      let changed = false
      for (const event of batch) changed = this.#take(event) || changed
      if (changed) for (const listener of this.#listeners) listener()
    }
  }

  /** True when somebody who shows links wants to look again. */
  #take(event: DeviceEvent): boolean {
    const { logger, nowMs } = this.#deps
    switch (event.type) {
      case 'control':
        if (this.#own.receive(event.socket, event.from, event.bytes, nowMs())) this.#publish()
        return false
      case 'no-path': {
        const node = this.#engine.nodeOf(event.peer)
        if (node !== undefined) this.#callNow(node)
        return false
      }
      case 'path-active': {
        const node = this.#engine.nodeOf(event.peer)
        const link = node === undefined ? undefined : this.link(node)
        logger.info('path taken', { peer: node, kind: link?.state, via: link?.via, rttMs: link?.rttMs })
        return true
      }
      case 'path-offload':
        logger.warn(event.on ? 'batches are tried again on a path' : 'batches are lost on a path, sent singly now', {
          peer: this.#engine.nodeOf(event.peer),
          path: event.path,
        })
        return false
      case 'path-state':
      case 'new-remote':
      case 'handshake':
        return true
      case 'socket-error':
        logger.warn('socket error', { socket: event.socket, message: event.message })
        return false
      case 'error':
        logger.error('engine failed', { error: event.error })
        return true
      case 'handshake-failed':
      case 'endpoint':
      case 'lost':
        return false
    }
  }

  #reconfigureSoon(): void {
    this.#settle ??= setTimeout(() => {
      this.#settle = undefined
      this.#reconfigure()
    }, SETTLE_MS)
  }

  /** Brings engine, sessions and STUN in line with the members there are now. */
  #reconfigure(): void {
    if (this.#stopping.signal.aborted) return
    const { discovery, nowMs } = this.#deps
    const members = discovery.members()
    const relays = members.filter((member) => isRelay(member) && member.state !== 'gone')
    this.#noticeRelays(relays)
    const peers = members
      .filter(({ record, state }) => record !== undefined && state !== 'gone')
      .map(({ nodeId }) => nodeId)
    this.#engine.setMembers(members)
    this.#sessions.configure(
      relays.map(({ nodeId }) => nodeId),
      peers,
      nowMs(),
    )
    void stunServers(relays).then((servers) => {
      this.#own.setServers(servers, nowMs())
      this.#schedule(0)
    })
    for (const node of this.#calls.keys()) if (!peers.includes(node)) this.#calls.delete(node)
    for (const node of peers) if (!this.#calls.has(node)) this.#calls.set(node, { tries: 0, nextAtMs: nowMs() })
    this.#schedule(0)
  }

  /** A relay that can be spoken to again has perhaps restarted, and has then forgotten our sessions. */
  #noticeRelays(relays: readonly Member[]): void {
    const up = new Set(relays.map(({ nodeId }) => nodeId).filter((node) => this.#deps.discovery.connectedTo(node)))
    for (const relay of up) if (!this.#relaysUp.has(relay)) this.#sessions.relayReturned(relay, this.#deps.nowMs())
    const changed = up.size !== this.#relaysUp.size || [...up].some((relay) => !this.#relaysUp.has(relay))
    this.#relaysUp = up
    if (changed) this.#deps.discovery.publish({ relays: this.#relayIds() })
  }

  #relayIds(): NodeId[] {
    return [...this.#relaysUp].slice(0, 8)
  }

  #publish(): void {
    const candidates = this.#own.list(this.#deps.nowMs())
    this.#deps.discovery.publish({ candidates, nat: this.#own.natClass() })
  }

  #schedule(inMs: number): void {
    if (this.#stopping.signal.aborted) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#poll(), Math.max(0, inMs))
  }

  #poll(): void {
    const nowMs = this.#deps.nowMs()
    if (nowMs >= this.#nextInterfacesAtMs) {
      this.#nextInterfacesAtMs = nowMs + INTERFACES_EVERY_MS
      if (this.#own.refreshLocal(nowMs)) {
        this.#deps.logger.info('addresses of this machine changed')
        this.#publish()
        this.#engine.updateAllPaths()
      }
    }
    const due = [this.#nextInterfacesAtMs, this.#own.poll(nowMs), this.#sessions.poll(nowMs), this.#pollCalls(nowMs)]
    const next = Math.min(...due.filter((at) => at !== undefined))
    this.#schedule(next - this.#deps.nowMs())
  }

  #pollCalls(nowMs: number): number | undefined {
    let next: number | undefined
    const direct = new Set(this.links().flatMap(({ nodeId, state }) => (state === 'direct' ? [nodeId] : [])))
    for (const [node, calls] of this.#calls) {
      if (direct.has(node)) {
        calls.tries = 0
        calls.nextAtMs = nowMs + CALL_AGAIN_MS[0]
      } else if (calls.nextAtMs <= nowMs) {
        calls.nextAtMs = nowMs + (CALL_AGAIN_MS[calls.tries] ?? CALL_AGAIN_MS[CALL_AGAIN_MS.length - 1] ?? 0)
        calls.tries += 1
        this.#call(node)
      }
      next = Math.min(next ?? calls.nextAtMs, calls.nextAtMs)
    }
    return next
  }

  #callNow(node: NodeId): void {
    const calls = this.#calls.get(node)
    if (calls === undefined) return
    calls.nextAtMs = Math.min(calls.nextAtMs, this.#deps.nowMs())
    this.#schedule(0)
  }

  #call(node: NodeId): void {
    const member = this.#deps.discovery.member(node)
    if (member === undefined || member.record === undefined) return
    this.#engine.punch(node)
    void this.#signals.call(node, this.#stopping.signal)
  }

  async #requestSession(relay: NodeId, peer: NodeId): Promise<ForwardGrant> {
    const options = { signal: this.#stopping.signal, maxBytes: FORWARD_LIMIT_BYTES }
    try {
      const answer = await this.#deps.discovery.request(
        relay,
        FORWARD_PROTOCOL,
        encodeForwardRequest({ peer }),
        options,
      )
      return decodeForwardGrant(answer)
    } catch (error) {
      this.#deps.logger.debug('relay gave no session', { relay, peer, error })
      throw error
    } finally {
      if (!this.#stopping.signal.aborted) this.#schedule(0)
    }
  }

  #sendStun(socket: number, to: { address: string; port: number }, bytes: Uint8Array): void {
    try {
      this.#deps.device.sendControl(socket, to, bytes)
    } catch (error) {
      this.#deps.logger.debug('STUN request not sent', { socket, to: to.address, error })
    }
  }
}
