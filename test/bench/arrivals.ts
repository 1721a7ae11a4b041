import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { LabNode } from '../lab/index.ts'

/** A flow that runs, and what its receiver saw. */
export interface Arrivals {
  /** Gaps count from now on. */
  mark(): void
  /** The longest time without an arrival since the mark, in ms, and connections lost since the start. */
  gap(): Promise<{ readonly gap: number; readonly lost: number }>
}

export interface ArrivalsOptions {
  readonly from: LabNode
  readonly to: LabNode
  /** Of `to`. */
  readonly address: string
}

const PROGRAM = join(import.meta.dirname, 'programs', 'arrivals.ts')

/** Starts both ends; they end with their nodes. */
export async function startArrivals(
  protocol: 'tcp' | 'udp',
  { from, to, address }: ArrivalsOptions,
): Promise<Arrivals> {
  const receiver = to.spawn(process.execPath, [PROGRAM, 'receive', protocol, address], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  await receiver.says(/ready/)
  const answers: ((answer: { gap: number; lost: number }) => void)[] = []
  if (receiver.child.stdout !== null) {
    createInterface({ input: receiver.child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) answers.shift()?.(JSON.parse(line) as { gap: number; lost: number })
    })
  }
  from.spawn(process.execPath, [PROGRAM, 'send', protocol, address])
  const say = (word: string) => receiver.child.stdin?.write(`${word}\n`)
  return {
    mark: () => void say('mark'),
    gap: () =>
      new Promise((resolve, reject) => {
        answers.push(resolve)
        say('gap')
        void receiver.ended.then(() => reject(new Error(`the receiver ended: ${receiver.output()}`)))
      }),
  }
}
