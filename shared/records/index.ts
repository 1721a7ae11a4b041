export {
  ADMIT_PROTOCOL,
  type AdmitAnswer,
  decodeAdmitAnswer,
  encodeAdmitAnswer,
  MAX_ADMIT_BYTES,
} from './admit-message.ts'
export { candidate, candidates, MAX_CANDIDATES, type NatClass, natClass } from './candidate.ts'
export { type Candidate, type CandidateKind, type Endpoint, endpoint, formatEndpoint } from './endpoint.ts'
export {
  decodeEnvelope,
  ENVELOPE_LIFETIME_MS,
  type Envelope,
  type EnvelopeOptions,
  encodeEnvelope,
  MAX_ENVELOPE_BYTES,
  MAX_ENVELOPE_CONTENT_BYTES,
  MAX_HOPS,
  openEnvelope,
  sealEnvelope,
} from './envelope.ts'
export {
  MAX_RECORD_BYTES,
  type NodeRecord,
  nextSeq,
  openRecord,
  peekRecord,
  RECORD_FUTURE_MS,
  RECORD_TTL_MS,
  type RelayFront,
  type Service,
  signRecord,
} from './record.ts'
export { type Link, MAX_REPORT_BYTES, openReport, REPORT_PROTOCOL, type Report, signReport } from './report.ts'
export { decodeSignal, encodeSignal, MAX_SIGNAL_BYTES, SIGNAL_PROTOCOL, type Signal } from './signal.ts'
export { isSshHostKey } from './ssh-host-key.ts'
export {
  decodeSync,
  encodeSync,
  type Holding,
  MAX_SYNC_BYTES,
  PUSH_CHUNK,
  SYNC_PROTOCOL,
  type SyncMessage,
} from './sync-message.ts'
