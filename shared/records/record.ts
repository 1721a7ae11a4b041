import { type Prefix, parsePrefix } from '@ropewalk/shared/addressing'
import {
  bool,
  type Codec,
  field,
  list,
  malformed,
  mapped,
  maybe,
  nodeId,
  struct,
  type TypeOf,
  text,
  uint,
  word,
} from '@ropewalk/shared/codec'
import { type NodeId, publicKeyOf, type SigningKey } from '@ropewalk/shared/identity'
import { certificateHash, parseRelayUrl } from '@ropewalk/shared/membership'
import { SERVICE_NAME } from '@ropewalk/shared/policy'
import { offer } from '@ropewalk/shared/runtime'
import { type Statement, statementKind } from '@ropewalk/shared/statement'
import { candidates, natClass } from './candidate.ts'
import { port } from './endpoint.ts'
import { sshHostKey } from './ssh-host-key.ts'

/** Most bytes of a signed node record. */
export const MAX_RECORD_BYTES = 2_048

/** How long a record counts, in ms: 60 min. */
export const RECORD_TTL_MS = 60 * 60_000

/** A record whose seq lies further ahead of the reader's clock is refused, in ms: 10 min. */
export const RECORD_FUTURE_MS = 10 * 60_000

const serviceName: Codec<string> = {
  build: (value) => value,
  parse(value, place) {
    if (typeof value === 'string' && SERVICE_NAME.test(value)) return value
    throw malformed(place, 'a service name')
  },
}

const service = struct({
  name: field(1, serviceName),
  port: field(2, port),
  protocol: field(3, word('tcp', 'udp')),
  /** It speaks HTTP: a browser may be sent there. */
  http: maybe(4, bool),
})

const relayFront = struct({
  /** Public HTTPS address, `https://host:443/`. */
  url: field(1, mapped(text(300), parseRelayUrl, parseRelayUrl)),
  /** UDP port of its STUN server and packet forwarder, on the host of the URL. */
  udpPort: field(2, port),
})

const prefix: Codec<Prefix> = mapped(text(64), parsePrefix, String)

const body = struct({
  nodeId: field(1, nodeId),
  certificateHash: field(2, certificateHash),
  /** Rises with every record of the node: at least the writer's clock in ms. */
  seq: field(3, uint()),
  ttlMs: field(4, uint(2 * RECORD_TTL_MS)),
  /** Multiaddrs of its libp2p host. */
  addresses: field(5, list(text(128, 1), 12)),
  /** UDP candidates of its engine. */
  candidates: field(6, candidates),
  nat: field(7, natClass),
  /** Relays it holds links to. */
  relays: field(8, list(nodeId, 8)),
  services: field(9, list(service, 32)),
  /** Public host keys of its sshd, as in `ssh_host_*.pub`, without comments. */
  sshHostKeys: field(10, list(sshHostKey, 6)),
  /** Prefixes behind it that it routes for members. */
  routes: field(11, list(prefix, 16)),
  /** Sync neighbours. */
  neighbours: field(12, list(nodeId, 8)),
  /** Its public front, if it is a relay. */
  relay: maybe(13, relayFront),
  /** It stopped on purpose. */
  gone: maybe(14, bool),
  /** What it offers to those who hire; absent without a runtime. */
  offer: maybe(15, offer),
})

/** What a node says about itself. */
export type NodeRecord = TypeOf<typeof body>

/** A service that a node offers to members. */
export type Service = TypeOf<typeof service>

/** A relay's public front. */
export type RelayFront = TypeOf<typeof relayFront>

const kind = statementKind<NodeRecord>({ kind: 'node-record', codec: body, maxBytes: MAX_RECORD_BYTES })

/** Signs a record with the node's own key. @throws RopewalkError `too-large` over 2 KiB */
export function signRecord(record: Omit<NodeRecord, 'nodeId'>, key: SigningKey): Statement<NodeRecord> {
  return kind.sign({ ...record, nodeId: key.nodeId }, key)
}

/** Opens a record signed by the node it is about. @throws RopewalkError `bad-statement`, `bad-signature`, `too-large` */
export function openRecord(raw: Uint8Array): Statement<NodeRecord> {
  return kind.open(raw, (read) => [publicKeyOf(read.nodeId)])
}

/** Reads whose record it is and its seq, without the cost of a signature: most copies of a flood are known already. */
export function peekRecord(raw: Uint8Array): { readonly nodeId: NodeId; readonly seq: number } {
  const { nodeId: id, seq } = kind.peek(raw)
  return { nodeId: id, seq }
}

/** The seq of the next record: above the last one and not behind the clock. */
export function nextSeq(last: number | undefined, nowMs: number): number {
  return Math.max((last ?? 0) + 1, nowMs)
}
