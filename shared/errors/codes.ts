/** What the command line answers: 0 done · 1 failed · 2 wrong usage · 3 no peer here · 4 not reachable · 5 refused. */
export type ExitCode = 1 | 2 | 3 | 4 | 5

interface Meaning {
  readonly exit: ExitCode
  readonly status: number
  readonly says: string
}

/**
 * Every code the product may ever answer with. A code is a promise: add freely, never rename.
 * `docs/errors.md` is the same table for people; a test keeps the two equal.
 */
export const ERRORS = {
  // general
  internal: { exit: 1, status: 500, says: 'A fault of ours; the log has the stack' },
  aborted: { exit: 1, status: 499, says: 'The caller gave up' },
  timeout: { exit: 4, status: 504, says: 'No answer within the time allowed' },
  unsupported: { exit: 1, status: 501, says: 'Not built, or not possible on this machine' },
  'bad-usage': { exit: 2, status: 400, says: 'The command line does not make sense' },
  'bad-config': { exit: 2, status: 400, says: 'A setting is missing or wrong' },
  'bad-input': { exit: 2, status: 400, says: 'A request does not have the form asked for' },
  'too-large': { exit: 2, status: 413, says: 'The input is over its size limit' },
  'insecure-config': { exit: 2, status: 400, says: 'A setting would expose the network; refused at start' },
  'not-found': { exit: 1, status: 404, says: 'There is no such thing' },
  conflict: { exit: 1, status: 409, says: 'It exists already, or is in another state' },
  'rate-limited': { exit: 4, status: 429, says: 'Too many requests; try again later' },
  'limit-reached': { exit: 4, status: 503, says: 'A limit on streams, sessions or memory is reached' },
  // this machine
  'not-running': { exit: 3, status: 503, says: 'No peer is running here' },
  'state-locked': { exit: 1, status: 423, says: 'Another process holds the state folder' },
  'state-missing': { exit: 2, status: 404, says: 'The state folder holds no network yet' },
  'state-corrupt': { exit: 1, status: 500, says: 'A state file is damaged; it is left as it is' },
  'state-foreign': { exit: 2, status: 409, says: 'The state folder belongs to another network or program' },
  'path-too-long': { exit: 2, status: 400, says: 'A socket path is over 107 bytes' },
  'address-in-use': { exit: 1, status: 409, says: 'Another program listens on that address' },
  'permission-denied': { exit: 1, status: 403, says: 'The operating system does not allow it' },
  'missing-tool': { exit: 1, status: 501, says: 'A program that is needed is not installed' },
  'disk-full': { exit: 1, status: 507, says: 'The disk has no room for it' },
  'hash-mismatch': { exit: 1, status: 502, says: 'A download is not what was pinned; it is not used' },
  'install-failed': { exit: 1, status: 500, says: 'What was to be installed does not work here' },
  'engine-failed': { exit: 1, status: 500, says: 'The data plane could not do it' },
  // membership
  'bad-ticket': { exit: 2, status: 400, says: 'That is not a ticket, or it was cut' },
  'ticket-expired': { exit: 5, status: 403, says: 'The ticket is past its time' },
  'ticket-used': { exit: 5, status: 403, says: 'The ticket has been used as often as it may be' },
  'ticket-in-use': { exit: 5, status: 409, says: 'The same relay key runs a second time' },
  'bad-statement': { exit: 5, status: 400, says: 'A signed statement is malformed' },
  'bad-signature': { exit: 5, status: 403, says: 'A signature does not match its statement' },
  'wrong-network': { exit: 5, status: 403, says: 'It belongs to another network' },
  'wrong-key': { exit: 5, status: 403, says: 'The other end proved another key than the one expected' },
  'not-admitted': { exit: 5, status: 403, says: 'The certificate has no valid admission' },
  'certificate-expired': { exit: 5, status: 403, says: 'The admission is past its time' },
  'clock-skew': { exit: 5, status: 403, says: 'The clocks of the two ends differ too much' },
  revoked: { exit: 5, status: 403, says: 'The member or its invite is revoked' },
  'name-taken': { exit: 5, status: 409, says: 'Another member holds that name' },
  'key-taken': { exit: 5, status: 409, says: 'Another member holds that WireGuard key' },
  'address-taken': { exit: 5, status: 409, says: 'Another member holds that address' },
  'missing-right': { exit: 5, status: 403, says: 'The signer does not hold the right to do it' },
  'stale-statement': { exit: 5, status: 409, says: 'A newer statement is known' },
  'unknown-peer': { exit: 4, status: 404, says: 'No member has that name, address or id' },
  // access
  unauthenticated: { exit: 5, status: 401, says: 'No valid proof of who asks' },
  forbidden: { exit: 5, status: 403, says: 'The token or member may not do it' },
  'policy-refused': { exit: 5, status: 403, says: 'The policy does not allow it' },
  'not-exposed': { exit: 5, status: 403, says: 'The worker does not expose that service' },
  // reaching
  unreachable: { exit: 4, status: 502, says: 'No way to the other end' },
  'peer-offline': { exit: 4, status: 503, says: 'The member has not been heard of lately' },
  'no-path': { exit: 4, status: 503, says: 'No path to the member works now' },
  'no-relay': { exit: 4, status: 503, says: 'No relay is connected' },
  'no-agent': { exit: 4, status: 503, says: 'The worker holds no tunnel to that relay' },
  'target-refused': { exit: 4, status: 502, says: 'The service does not answer on its port' },
  'stream-reset': { exit: 1, status: 502, says: 'The other end broke the stream off' },
  'protocol-error': { exit: 1, status: 400, says: 'The other end sent bytes that make no sense' },
  'version-mismatch': { exit: 1, status: 426, says: 'The two ends speak different versions' },
  'proof-failed': { exit: 5, status: 403, says: 'The other end could not prove its key' },
  draining: { exit: 4, status: 503, says: 'The relay is about to stop' },
  // runtime
  'lease-expired': { exit: 5, status: 403, says: 'The lease is past its time' },
  'lease-too-long': { exit: 5, status: 403, says: 'The lease is longer than the worker takes' },
  'lease-spent': { exit: 5, status: 409, says: 'The lease was used already' },
  'devices-taken': { exit: 4, status: 409, says: 'What is asked for is leased to somebody else' },
  'no-workers': { exit: 4, status: 503, says: 'Not enough fitting workers are free' },
  'runtime-missing': { exit: 1, status: 501, says: 'Ray is not installed on that machine' },
  'job-lost': { exit: 1, status: 410, says: 'The job is gone with the head of its cluster' },
  'runtime-failed': { exit: 1, status: 502, says: 'Ray did not start, or ended by itself' },
} as const satisfies Record<string, Meaning>

/** A stable code: part of the contract with users and programs. */
export type ErrorCode = keyof typeof ERRORS

/** Whether a string from elsewhere is one of our codes. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERRORS, value)
}

/** The exit code of the command line for a code. */
export function exitCodeOf(code: ErrorCode): ExitCode {
  return ERRORS[code].exit
}

/** The HTTP status for a code. */
export function httpStatusOf(code: ErrorCode): number {
  return ERRORS[code].status
}
