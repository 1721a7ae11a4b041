import { field, list, maybe, nodeId, struct, type TypeOf, uint, word } from '@ropewalk/shared/codec'
import { publicKeyOf, type SigningKey } from '@ropewalk/shared/identity'
import { type Statement, statementKind } from '@ropewalk/shared/statement'

/** Name of the libp2p protocol. */
export const REPORT_PROTOCOL = '/ropewalk/report/1.0.0'

/** Most bytes of one signed report. */
export const MAX_REPORT_BYTES = 256 * 1_024

const MAX_LINKS = 2_048

const link = struct({
  /** The other end. */
  peer: field(1, nodeId),
  kind: field(2, word('direct', 'relay', 'peer-relay', 'tls')),
  state: field(3, word('active', 'standby', 'probing', 'suspect', 'down')),
  /** The relay in between, for the kinds that have one. */
  via: maybe(4, nodeId),
  /** Smoothed round trip, in µs. */
  rttUs: maybe(5, uint()),
  jitterUs: maybe(6, uint()),
  /** Lost probes, in parts per million. */
  lossPpm: maybe(7, uint(1_000_000)),
  mtu: maybe(8, uint(65_535)),
  txBytes: maybe(9, uint()),
  rxBytes: maybe(10, uint()),
})

const body = struct({
  nodeId: field(1, nodeId),
  seq: field(2, uint()),
  /** When it was made, by the reporter's wall clock, in ms. */
  atMs: field(3, uint()),
  links: field(4, list(link, MAX_LINKS)),
})

/** One end's view of a link. */
export type Link = TypeOf<typeof link>

/** What a node tells the relays about its links, every 5 s and 500 ms after a change. */
export type Report = TypeOf<typeof body>

const kind = statementKind<Report>({ kind: 'report', codec: body, maxBytes: MAX_REPORT_BYTES })

/** Signs a report with the node's own key. */
export function signReport(report: Omit<Report, 'nodeId'>, key: SigningKey): Statement<Report> {
  return kind.sign({ ...report, nodeId: key.nodeId }, key)
}

/** Opens a report signed by the node it comes from. @throws RopewalkError `bad-statement`, `bad-signature`, `too-large` */
export function openReport(raw: Uint8Array): Statement<Report> {
  return kind.open(raw, (read) => [publicKeyOf(read.nodeId)])
}
