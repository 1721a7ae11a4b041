import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isRopewalkError } from '@ropewalk/shared/errors'
import { damagedText, heldBytes } from '@ropewalk/shared/hostile'
import { createLogger } from '@ropewalk/shared/logger'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createJobs, type Jobs, sendWorkingDir } from './index.ts'

const logger = createLogger({ level: 'silent', destination: process.stderr })
const signal = AbortSignal.timeout(300_000)
const TIMEOUT_MS = 1_000
const JOB = {
  type: 'SUBMISSION',
  submission_id: 'raysubmit_1',
  status: 'SUCCEEDED',
  entrypoint: 'true',
  message: 'Job finished successfully.',
  start_time: 1,
  end_time: 2,
  metadata: { job_name: 'x' },
  driver_node_id: '00ff',
  driver_exit_code: 0,
}

/** Answers every connection by what `answer` does with it, without a look at the request. */
let answer: (socket: Socket) => void = (socket) => socket.destroy()
const server = createServer((socket) => {
  socket.on('error', () => {})
  socket.once('data', () => answer(socket))
})
let jobs: Jobs
let folder: string

beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const dial = async (): Promise<Socket> => connect({ port, host: '127.0.0.1' })
  jobs = createJobs(
    { dashboardPort: 1, token: 't'.repeat(32), timeoutMs: TIMEOUT_MS, stallMs: TIMEOUT_MS },
    { dial, logger },
  )
  folder = await mkdtemp(join(tmpdir(), 'rw-hostile-'))
  await writeFile(join(folder, 'a.py'), 'x'.repeat(100_000))
})
afterAll(async () => {
  server.close()
  await rm(folder, { recursive: true, force: true })
})

const http = (status: string, body: string, headers = ''): string =>
  `HTTP/1.1 ${status}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`
const codeOf = async (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'fine',
    (error: unknown) => {
      if (!isRopewalkError(error) || error.code === 'internal') throw error
      return error.code
    },
  )
const readAll = async (): Promise<void> => {
  for await (const _ of jobs.logs('raysubmit_1', { follow: false, signal })) {
    // what it is does not matter
  }
}

test.each<[string, string, (socket: Socket) => void]>([
  ['nothing, and the end', 'stream-reset', (socket) => socket.end()],
  ['a reset', 'stream-reset', (socket) => socket.resetAndDestroy()],
  ['silence', 'timeout', () => {}],
  ['no HTTP', 'protocol-error', (socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n')],
  ['endless headers', 'protocol-error', (socket) => socket.end(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`)],
  [
    'another protocol',
    'protocol-error',
    (socket) => socket.write('HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
  ],
  ['early answers without end', 'timeout', (socket) => socket.write('HTTP/1.1 103 X\r\n\r\n'.repeat(100))],
  [
    'two lengths',
    'protocol-error',
    (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxy'),
  ],
  ['a redirect', 'protocol-error', (socket) => socket.end(http('302 Found', '', 'location: http://192.0.2.1/\r\n'))],
  ['less than it promised', 'stream-reset', (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{')],
  ['more than fits', 'too-large', (socket) => socket.end(http('200 OK', '[1]'.padEnd(40 << 20)))],
  ['no JSON', 'protocol-error', (socket) => socket.end(http('200 OK', '<html>'))],
  ['bytes that are no text', 'protocol-error', (socket) => socket.end(`${http('200 OK', '').replace('0', '1')}\xff`)],
  ['deep lists', 'protocol-error', (socket) => socket.end(http('200 OK', '['.repeat(500_000)))],
  ['another form', 'protocol-error', (socket) => socket.end(http('200 OK', '{"a":1}'))],
  ['too many jobs', 'protocol-error', (socket) => socket.end(http('200 OK', JSON.stringify(Array(20_000).fill(JOB))))],
  ['no to the token', 'unauthenticated', (socket) => socket.end(http('403 Forbidden', 'no'))],
  ['a traceback', 'unreachable', (socket) => socket.end(http('500 X', 'Traceback\nValueError: \x1b[2Jboom\n'))],
])('a head that answers %s is told as %s', async (_name, code, act) => {
  answer = act
  expect(await codeOf(jobs.list(signal))).toBe(code)
})

test('what a head says is shortened and has no control characters', async () => {
  answer = (socket) => socket.end(http('500 X', `x\n\x1b[2J${'boom\u202e'.repeat(1_000)}\r\n\n`))
  await expect(jobs.list(signal)).rejects.toThrow(/^Ray could not do it \(HTTP 500\): \[2J[boom ]{1,300}$/)
})

test('an upload that nobody takes ends in time, and a refused one with the reason', async () => {
  answer = (socket) => socket.write(http('404 Not Found', ''))
  const send = (): Promise<unknown> => sendWorkingDir(folder, jobs, { signal, logger })
  const first = answer
  const then = (act: (socket: Socket) => void): void => {
    answer = (socket) => {
      first(socket)
      answer = act
    }
  }
  then(() => {})
  expect(await codeOf(send())).toBe('timeout')
  then((socket) => socket.end(http('413 X', '')))
  expect(await codeOf(send())).toBe('too-large')
  then((socket) => socket.resetAndDestroy())
  expect(await codeOf(send())).toBe('stream-reset')
})

test('Ctrl-C ends every call at once', async () => {
  answer = () => {}
  for (const call of [
    (stop: AbortSignal) => jobs.list(stop),
    (stop: AbortSignal) => jobs.job('raysubmit_1', stop),
    (stop: AbortSignal) => jobs.submit({ entrypoint: 'true' }, stop),
    (stop: AbortSignal) => jobs.logs('raysubmit_1', { follow: true, signal: stop })[Symbol.asyncIterator]().next(),
  ]) {
    const stop = new AbortController()
    const called = codeOf(call(stop.signal))
    stop.abort()
    expect(await called).toBe('aborted')
    expect(await codeOf(call(AbortSignal.abort()))).toBe('aborted')
  }
})

test('damaged answers are read or refused, with a typed error only', async () => {
  const whole = http('200 OK', JSON.stringify([JOB]))
  const one = http('200 OK', JSON.stringify(JOB))
  const property = fc.asyncProperty(damagedText(whole), damagedText(one), async (list, job) => {
    answer = (socket) => socket.end(list)
    await codeOf(jobs.list(signal))
    answer = (socket) => socket.end(job)
    await codeOf(jobs.job('raysubmit_1', signal))
  })
  await fc.assert(property, { numRuns: 300 })
}, 300_000)

test('a log without end is passed on, not kept', async () => {
  const piece = Buffer.alloc(1 << 16, 'x')
  let left = 2_000
  answer = (socket) => {
    socket.write(http('200 OK', JSON.stringify(JOB)))
    answer = (second) => {
      second.write(`HTTP/1.1 200 OK\r\ncontent-length: ${left * piece.length}\r\n\r\n`)
      const pour = (): void => {
        while (left > 0 && second.write(piece)) left -= 1
      }
      second.on('drain', () => {
        left -= 1
        pour()
      })
      pour()
    }
  }
  const before = heldBytes()
  await readAll()
  expect(left).toBe(0)
  expect(heldBytes() - before).toBeLessThan(16 << 20)
})
