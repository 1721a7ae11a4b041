import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClusterAccess } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { rayPort } from '@ropewalk/shared/runtime'
import type { LocalClient } from '../client/index.ts'
import { hasEnded, shellCommand } from '../runtime/jobs/index.ts'
import { jobAt, untilEnded } from './job-log.ts'
import { printable } from './job-text.ts'

const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 20_000
const LOOK_EVERY_MS = 500
const CALL_TIMEOUT_MS = 70_000
const MISSING = 97
/** Whichever is on the cage's path, the runtime's own first; it serves the lease's home. */
const SCRIPT = `cd
for kind in lab server; do command -v jupyter-$kind >/dev/null && exec jupyter-$kind "$@"; done
exit ${MISSING}`

/** A Jupyter on a cluster's head, in the lease's cage; it ends when it is disposed. */
export interface HeadJupyter extends AsyncDisposable {
  /** The head's port, open to the cluster's members and its hirer. */
  readonly port: number
  readonly token: string
}

export interface HeadJupyterOptions {
  readonly access: Pick<ClusterAccess, 'name' | 'head'>
  readonly dial: (port: number, signal: AbortSignal) => Promise<Socket>
  readonly signal: AbortSignal
}

/**
 * Starts Jupyter as a job of Ray, if the head's machine has one, and waits until it answers.
 * @throws RopewalkError `missing-tool`, `runtime-failed` with its last words, `timeout`
 */
export async function startJupyter(local: LocalClient, options: HeadJupyterOptions): Promise<HeadJupyter> {
  const { access, dial, signal } = options
  const { name: cluster, head } = access
  const port = rayPort(head.gcsPort - rayPort(0, 'gcs'), 'jupyter')
  const token = randomBytes(24).toString('hex')
  const words = ['--no-browser', `--ServerApp.ip=${head.address}`, `--ServerApp.port=${port}`]
  const body = {
    cluster,
    name: 'jupyter',
    entrypoint: shellCommand(['sh', '-c', SCRIPT, 'jupyter', ...words, '--ServerApp.port_retries=0']),
    env: { JUPYTER_TOKEN: token }, // not a word of its command line, which all users of that machine see
  }
  const { id } = await local.api.submitJob({ body }, { signal, timeoutMs: CALL_TIMEOUT_MS })
  const stop = async (): Promise<void> => {
    const order = { params: { job: id }, query: { cluster } }
    const late = AbortSignal.timeout(STOP_TIMEOUT_MS)
    try {
      await local.api.stopJob(order, { timeoutMs: STOP_TIMEOUT_MS, signal: late })
      await untilEnded(local, { id, cluster }, { signal: late })
    } catch {} // its lease ends it at the latest
  }
  try {
    const deadline = performance.now() + START_TIMEOUT_MS
    for (;;) {
      const job = await jobAt(local, { id, cluster }, signal)
      if (hasEnded(job)) throw await failure(local, { ...access, id, exitCode: job.exitCode, signal })
      const socket = job.status === 'running' ? await dial(port, signal).catch(() => undefined) : undefined
      if (socket !== undefined) {
        socket.destroy()
        return { port, token, [Symbol.asyncDispose]: stop }
      }
      signal.throwIfAborted()
      if (performance.now() > deadline)
        throw new RopewalkError('timeout', `Jupyter did not start on ${head.name} in time`)
      await sleep(LOOK_EVERY_MS, undefined, { signal })
    }
  } catch (error) {
    await stop()
    throw error
  }
}

interface Failed extends Pick<ClusterAccess, 'name' | 'head'> {
  readonly id: string
  readonly exitCode: number | null
  readonly signal: AbortSignal
}

async function failure(local: LocalClient, { name, head, id, exitCode, signal }: Failed): Promise<RopewalkError> {
  if (exitCode === MISSING) {
    return new RopewalkError('missing-tool', `No worker of ${name} exposes a Jupyter, and ${head.name} has none`, {
      hint: `on ${head.name}: apt install jupyter-server python3-ipykernel; or ropewalk expose jupyter=8888 for one that runs`,
    })
  }
  const log = await buffer(local.readLog({ job: id, cluster: name, offset: 0, follow: false, signal }))
  const last = log
    .toString('utf8')
    .split('\n')
    .map(printable)
    .findLast((line) => line !== '')
  return new RopewalkError('runtime-failed', `Jupyter ended on ${head.name}: ${last ?? 'it said nothing'}`, {
    hint: `ropewalk job logs ${id}`,
  })
}
