import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { createLogger, type LogLevel } from './index.ts'
import { prettyLine } from './pretty.ts'

function collect(format: 'json' | 'pretty', level: LogLevel = 'info') {
  const lines: string[] = []
  return { lines, log: createLogger({ format, level, destination: { write: (line) => lines.push(line) } }) }
}

describe('logger', () => {
  test('a line is JSON with level, time, message and fields', () => {
    const { log, lines } = collect('json')
    log.child({ room: 'tunnels' }).info('stream opened', { peer: 'worker-a' })
    const line = JSON.parse(lines[0] ?? '')
    expect(line).toMatchObject({ level: 'info', message: 'stream opened', room: 'tunnels', peer: 'worker-a' })
    expect(line.time).toMatch(/^\d{4}-/)
  })

  test('secrets never reach the log, three levels deep and in children', () => {
    const { log, lines } = collect('json')
    log.info('x', { secret: 'S1', a: { token: 'S2' }, b: { c: { privateKey: 'S3' } } })
    log.child({ ticket: 'S4' }).info('y')
    expect(lines.join('')).not.toMatch(/S[1-4]/)
  })

  test('errors carry their message and stack', () => {
    const { log, lines } = collect('json')
    log.error('it broke', { error: new Error('because') })
    expect(JSON.parse(lines[0] ?? '').error).toMatchObject({ message: 'because' })
  })

  test('levels below the chosen one are silent', () => {
    const { log, lines } = collect('json', 'warn')
    log.info('x')
    log.warn('y')
    expect(lines).toHaveLength(1)
  })

  test('the pretty form is one readable line', () => {
    const { log, lines } = collect('pretty')
    log.warn('peer is slow', { rttMs: 12, name: 'a b' })
    expect(stripVTControlCharacters(lines[0] ?? '')).toMatch(
      /^\d\d:\d\d:\d\d warn {2}peer is slow rttMs=12 name="a b"\n$/,
    )
  })

  test('foreign lines pass through the pretty form', () => {
    expect(prettyLine('hello\n')).toBe('hello\n')
    expect(prettyLine('3\n')).toBe('3\n')
  })
})
