import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isRopewalkError, RopewalkError } from '@ropewalk/shared/errors'
import { rayPort } from '@ropewalk/shared/runtime'
import type { Cage } from '../cage/index.ts'
import { headOf, PYTHON, type RayNode } from './command.ts'

/** How long a node may take to be alive in its cluster, in ms. */
export const RAY_START_TIMEOUT_MS = 60_000

export interface AwaitRayOptions {
  readonly signal?: AbortSignal | undefined
  /** {@link RAY_START_TIMEOUT_MS} unless said. */
  readonly timeoutMs?: number
}

/** Longer than the program's own limit, which says what was missing. */
const GRACE_MS = 15_000
/** For the word that a cage has ended, in ms. */
const END_MS = 1_000

/**
 * Waits until Ray in a cage is alive in its cluster, by what the head says, and gives Ray's id of the node.
 * @throws RopewalkError `engine-failed`, `timeout`, `aborted`: a plain sentence, and the last lines of the log
 */
export async function awaitRay(cage: Cage, node: RayNode, options: AwaitRayOptions = {}): Promise<string> {
  const timeoutMs = options.timeoutMs ?? RAY_START_TIMEOUT_MS
  const program = await readFile(join(import.meta.dirname, 'alive.py'), 'utf8')
  const port = String(rayPort(node.ports, 'nodeManager'))
  const words = [PYTHON, '-c', program, headOf(node), node.address, port, String(timeoutMs / 1000)]
  const startedAt = performance.now()
  try {
    const answer = await cage.exec(words, { signal: options.signal, timeoutMs: timeoutMs + GRACE_MS })
    const id = parseNodeId(answer.stdout)
    if (answer.code === 0 && id !== undefined) return id
    const reason = answer.stderr.trim().split('\n').at(-1) || `the program that looks for it ended with ${answer.code}`
    // what ends the cage ends this program as well, and may be told first
    const end = await Promise.race([cage.ended, sleep(END_MS, undefined)])
    if (end !== undefined) throw endedByItself(node, end.code, cage)
    if (performance.now() - startedAt < timeoutMs)
      throw new RopewalkError('engine-failed', `${named(node)} cannot be asked: ${reason}${shown(cage)}`)
    throw new RopewalkError(
      'timeout',
      `${named(node)} is not alive after ${timeoutMs / 1000} s: ${reason}${shown(cage)}`,
      {
        hint: 'look whether the workers reach each other: ropewalk peers',
      },
    )
  } catch (error) {
    if (!isRopewalkError(error, 'not-running')) throw error
    throw endedByItself(node, (await cage.ended).code, cage)
  }
}

function endedByItself(node: RayNode, code: number | null, cage: Cage): RopewalkError {
  return new RopewalkError('engine-failed', `${named(node)} ended by itself with ${code ?? 'no status'}${shown(cage)}`)
}

/** Ray's id of a node: 28 bytes as hexadecimal text. */
export function parseNodeId(text: string): string | undefined {
  return /^([0-9a-f]{56})\s*$/.exec(text)?.[1]
}

function named({ role, address }: RayNode): string {
  return role === 'head' ? `Ray's head on ${address}` : `Ray on ${address}`
}

function shown(cage: Cage): string {
  const tail = cage.tail()
  return tail === '' ? '' : `\n${tail}`
}
