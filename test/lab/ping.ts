import { LabError } from './error.ts'
import type { LabNode } from './node.ts'

/** What a run of pings showed. */
export interface PingReport {
  readonly sent: number
  readonly received: number
  readonly lost: number
  /** The longest time between two replies that followed each other, in ms. */
  readonly longestGapMs: number
  /** Round trips in ms. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** When each reply came (ms of the wall clock), with its number and round trip. */
  readonly replies: readonly PingReply[]
}

export interface PingReply {
  readonly atMs: number
  readonly sequence: number
  readonly roundTripMs: number
}

export interface PingOptions {
  /** 1 ms unless said. */
  readonly intervalMs?: number
  /** Until stopped, unless said. */
  readonly count?: number
}

/** A ping that runs. */
export interface Pinging {
  /** Ends it and says what it saw. */
  stop(): Promise<PingReport>
  /** Waits until so many more replies have come. Throws when ping ends before. */
  replied(count: number): Promise<void>
  /** For one with a count: its report when it is through. */
  readonly done: Promise<PingReport>
}

/** Starts to ping `target` from `node`. */
export function ping(node: LabNode, target: string, options: PingOptions = {}): Pinging {
  const interval = ((options.intervalMs ?? 1) / 1000).toString()
  const count = options.count === undefined ? [] : ['-c', options.count.toString()]
  const chunks: string[] = []
  // Line by line, or its last words would come in blocks of 4 KiB.
  const words = ['-oL', 'ping', '-n', '-D', '-i', interval, '-W', '1', ...count, target]
  const process = node.spawn('stdbuf', words, { env: { LC_ALL: 'C' } })
  let lines = 0
  const waiting = new Set<() => void>()
  process.child.stdout?.on('data', (text: string) => {
    chunks.push(text)
    lines += text.split(' time=').length - 1
    for (const look of waiting) look()
  })
  const done = process.ended.then(() => parsePing(chunks.join(''), process.output()))
  done.catch(() => {}) // whoever asks for the report gets the error
  return {
    done,
    replied: (more) =>
      new Promise((resolve, reject) => {
        const wanted = lines + more
        const look = () => {
          if (lines < wanted) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        void process.ended.then(() =>
          reject(new LabError(`ping ended before ${more} replies: ${process.output().slice(-500)}`)),
        )
      }),
    stop: async () => {
      await process.kill('SIGINT')
      return done
    },
  }
}

/** Reads what `ping -D` printed. Throws when it pinged nothing. */
export function parsePing(text: string, everything = text): PingReport {
  const replies: PingReply[] = []
  for (const match of text.matchAll(/^\[([\d.]+)\] \d+ bytes from .*icmp_seq=(\d+) .*time=([\d.]+) ms/gm)) {
    replies.push({ atMs: Number(match[1]) * 1000, sequence: Number(match[2]), roundTripMs: Number(match[3]) })
  }
  const sent = Number(/(\d+) packets transmitted/.exec(text)?.[1] ?? Number.NaN)
  if (Number.isNaN(sent)) throw new LabError(`ping said no summary: ${everything.slice(-500)}`)
  const times = replies.map((reply) => reply.roundTripMs).sort((one, other) => one - other)
  const rank = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN
  const gaps = replies.slice(1).map((reply, index) => reply.atMs - (replies[index]?.atMs ?? reply.atMs))
  return {
    sent,
    received: replies.length,
    lost: sent - replies.length,
    longestGapMs: gaps.reduce((most, gap) => Math.max(most, gap), 0),
    p50Ms: rank(0.5),
    p99Ms: rank(0.99),
    replies,
  }
}
