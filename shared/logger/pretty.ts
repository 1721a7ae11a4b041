import { styleText } from 'node:util'
import type { DestinationStream } from 'pino'

const COLOURS = { trace: 'gray', debug: 'gray', info: 'green', warn: 'yellow', error: 'red' } as const

/** Turns pino's JSON lines into lines for people: `12:34:56 info message key=value`. */
export function prettyStream(out: DestinationStream): DestinationStream {
  return { write: (line) => out.write(prettyLine(line)) }
}

/** One JSON line as one readable line; a line that is not ours passes unchanged. */
export function prettyLine(line: string): string {
  let parsed: unknown
  try {
    parsed = JSON.parse(line)
  } catch {
    return line
  }
  if (typeof parsed !== 'object' || parsed === null) return line
  const { time, level, message, ...fields } = parsed as Record<string, unknown>
  const colour = COLOURS[String(level) as keyof typeof COLOURS] ?? 'white'
  const clock = String(time).slice(11, 19)
  const tail = Object.entries(fields).map(([key, value]) => styleText('dim', `${key}=${shown(value)}`))
  // styleText is told not to look at a stream: the caller chose this format for a terminal
  const label = styleText(colour, String(level).padEnd(5), { validateStream: false })
  return `${[styleText('dim', clock), label, String(message), ...tail].join(' ')}\n`
}

function shown(value: unknown): string {
  if (typeof value === 'string') return /[\s"=]/.test(value) ? JSON.stringify(value) : value
  return JSON.stringify(value)
}
