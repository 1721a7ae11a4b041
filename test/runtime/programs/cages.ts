// The cages of one peer, in the hands of a test: `node cages.ts FOLDER`. A line of JSON on stdin asks, one on stdout answers.
import { createInterface } from 'node:readline'
import { createLogger } from '@ropewalk/shared/logger'
import { type Cage, type CageSpec, createCages } from '../../../peer/runtime/cage/index.ts'
import { awaitRay, type RayNode } from '../../../peer/runtime/ray/index.ts'
import type { Question } from '../cage-host.ts'

// As the unit of the peer has it.
process.umask(0o077)
const cages = createCages({ folder: process.argv[2] ?? '' }, { logger: createLogger({ destination: process.stderr }) })
const open = new Map<string, Cage>()

function cageOf(id: string): Cage {
  const cage = open.get(id)
  if (cage === undefined) throw new Error(`no cage ${id} was opened here`)
  return cage
}

function limit(timeoutMs: number | undefined): { timeoutMs?: number } {
  return timeoutMs === undefined ? {} : { timeoutMs }
}

async function answer(question: Question): Promise<unknown> {
  switch (question.what) {
    case 'check': {
      const refusal = await cages.check()
      return refusal === undefined ? null : { code: refusal.code, message: refusal.message, hint: refusal.hint }
    }
    case 'sweep':
      return cages.sweep()
    case 'open': {
      const cage = await cages.open(question.spec as CageSpec, { signal: AbortSignal.timeout(20_000) })
      open.set(cage.id, cage)
      return cage.logFolder
    }
    case 'exec':
      return cageOf(question.id).exec(question.command, { timeoutMs: question.timeoutMs ?? 20_000 })
    case 'ray':
      return awaitRay(cageOf(question.id), question.node as RayNode, limit(question.timeoutMs))
    case 'ended':
      return cageOf(question.id).ended
    case 'tail':
      return cageOf(question.id).tail()
    case 'stop': {
      const started = performance.now()
      await cageOf(question.id).stop()
      return performance.now() - started
    }
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const { number, question } = JSON.parse(line) as { number: number; question: Question }
  const say = (said: object) => process.stdout.write(`${JSON.stringify({ number, ...said })}\n`)
  answer(question).then(
    (result) => say({ result: result ?? null }),
    (error: Error & { code?: string }) => say({ error: { code: error.code ?? 'bug', message: String(error.message) } }),
  )
})
