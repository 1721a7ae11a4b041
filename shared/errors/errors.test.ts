import { describe, expect, test } from 'vitest'
import { ERRORS, fromProblem, isErrorCode, RopewalkError, toProblem, toRopewalkError } from './index.ts'

const HEAD = [
  '# Errors',
  '',
  'Every error of the command line and of the HTTP APIs carries one of these codes; a code is never renamed.',
  'Exit codes: 1 failed · 2 wrong usage or config · 3 no peer is running here · 4 not reachable or timed out · 5 refused.',
  '',
  '| code | exit | HTTP | what it means |',
  '|---|---|---|---|',
]

describe('errors', () => {
  // after adding a code: npx vitest run shared/errors -u
  test('docs/errors.md is the table in the code', async () => {
    const rows = Object.entries(ERRORS).map(
      ([code, { exit, status, says }]) => `| \`${code}\` | ${exit} | ${status} | ${says} |`,
    )
    await expect([...HEAD, ...rows, ''].join('\n')).toMatchFileSnapshot('../../docs/errors.md')
  })

  test('every refusal exits with 5 and answers 4xx', () => {
    for (const { exit, status } of Object.values(ERRORS)) if (exit === 5) expect(status).toBeLessThan(500)
  })

  test('an error survives the way through problem+json', () => {
    const error = new RopewalkError('not-exposed', 'worker-a does not expose x', { hint: 'ropewalk services worker-a' })
    const problem = toProblem(error)
    const back = fromProblem(JSON.parse(JSON.stringify(problem)), problem.status)
    expect(back).toMatchObject({
      code: error.code,
      message: error.message,
      hint: error.hint,
      exitCode: 5,
      httpStatus: 403,
    })
  })

  test('a bug tells the outside nothing', () => {
    const problem = toProblem(new TypeError('secret inside'))
    expect(JSON.stringify(problem)).not.toContain('secret inside')
    expect(problem).toMatchObject({ code: 'internal', status: 500 })
  })

  test('operating system errors and aborts get their code', () => {
    expect(toRopewalkError(Object.assign(new Error('x'), { code: 'ECONNREFUSED' })).code).toBe('unreachable')
    expect(toRopewalkError(AbortSignal.timeout(0).reason ?? new DOMException('t', 'TimeoutError')).code).toBe('timeout')
    expect(toRopewalkError('text').code).toBe('internal')
  })

  test('names of Object.prototype are no codes', () => {
    expect(isErrorCode('constructor')).toBe(false)
    expect(isErrorCode('toString')).toBe(false)
  })
})
