import { type ErrorCode, RopewalkError } from '@ropewalk/shared/errors'

interface Reason {
  readonly code: ErrorCode
  readonly sign: RegExp
  readonly says: string
  readonly hint: string
}

const AGAIN = 'ropewalk runtime install goes on from here'

/** What pip says, by what it means: the first that fits. It has no exit codes of its own for this. */
const REASONS: readonly Reason[] = [
  {
    code: 'disk-full',
    sign: /No space left on device|\[Errno 28\]|Disk quota exceeded|\[Errno 122\]/,
    says: 'The disk is full',
    hint: `make room, or choose another disk with ROPEWALK_RUNTIME; then ${AGAIN}`,
  },
  {
    code: 'hash-mismatch',
    sign: /DO NOT MATCH THE HASHES|In --require-hashes mode|Hashes are required in /,
    says: 'A package is not the one that was pinned, and was not installed',
    hint: 'see that no mirror or proxy changes packages, and empty its cache: pip cache purge',
  },
  {
    code: 'permission-denied',
    sign: /Permission denied|\[Errno 13\]|Read-only file system|\[Errno 30\]/,
    says: 'The folder of the runtime cannot be written',
    hint: 'run it as the user of the peer, or choose another folder with ROPEWALK_RUNTIME',
  },
  {
    code: 'unreachable',
    sign: /NewConnectionError|ConnectTimeoutError|NameResolutionError|Max retries exceeded|ReadTimeoutError|ProxyError|SSLError|ProtocolError|IncompleteRead|ConnectionResetError|^WARNING: Retrying|Connection broken|50[234] Server Error|Network is unreachable/m,
    says: 'The package index cannot be reached',
    hint: `see that this machine reaches it, or name a mirror or proxy in pip's own settings; then ${AGAIN}`,
  },
  {
    code: 'unsupported',
    sign: /No matching distribution found|is not a supported wheel|requires a different Python|from versions: none/,
    says: 'There is no package for this machine and its Python',
    hint: 'take Linux on x86_64 or aarch64 with glibc, another Python with --python PATH, or an index that has them',
  },
]

const MAX_DETAIL = 300

/** Why pip failed, from the last lines that it said. */
export function pipFailure(lines: readonly string[], logFile: string): RopewalkError {
  const text = lines.join('\n')
  const reason = REASONS.find(({ sign }) => sign.test(text))
  const detail = lines.findLast((line) => line.startsWith('ERROR: '))?.slice(7) ?? lines.at(-1) ?? 'it said nothing'
  const shown = detail.replaceAll(/[^\x20-\x7e]/g, ' ').slice(0, MAX_DETAIL)
  if (reason === undefined) {
    return new RopewalkError('install-failed', `pip could not install the runtime: ${shown}`, {
      hint: `see ${logFile}`,
    })
  }
  return new RopewalkError(reason.code, `${reason.says} (pip: ${shown})`, { hint: reason.hint })
}
