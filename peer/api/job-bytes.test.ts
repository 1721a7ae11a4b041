import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { peerApi } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { heldBytes } from '@ropewalk/shared/hostile'
import { silentLogger } from '@ropewalk/shared/logger'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLocalClient, type LocalClient } from '../client/index.ts'
import { createWatchers } from '../watchers/index.ts'
import { createLocalServer, type Handlers, type JobBytes } from './index.ts'

const NAME = 'a'.repeat(40)
const signal = AbortSignal.timeout(60_000)
const unused = async () => {
  throw new RopewalkError('unsupported')
}
let folder = ''
let server: ReturnType<typeof createLocalServer>
let local: LocalClient
let onlooker: LocalClient
let bytes: JobBytes = { readLog: unused, putPackage: unused }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'api-'))
  const [path, weak] = [join(folder, 'control.sock'), join(folder, 'access.sock')]
  server = createLocalServer(
    {
      doors: [
        { path, mode: 0o600, scopes: ['read', 'write'] },
        { path: weak, mode: 0o660, scopes: ['read'] },
      ],
    },
    {
      handlers: {} as Handlers<typeof peerApi>,
      jobBytes: {
        readLog: (...asked) => bytes.readLog(...asked),
        putPackage: (...sent) => bytes.putPackage(...sent),
      },
      watchers: createWatchers(
        {},
        { snapshot: () => ({ epoch: 'e', sequence: 0 }), since: () => undefined, onDelta: () => () => undefined },
      ),
      openStream: unused,
      logger: silentLogger,
    },
  )
  await server.start()
  local = createLocalClient(path)
  onlooker = createLocalClient(weak)
})
afterAll(async () => {
  await server.stop()
  await rm(folder, { recursive: true })
})

const logOf = async (wanted: Partial<Parameters<LocalClient['readLog']>[0]> = {}, from = local): Promise<Buffer> =>
  await buffer(from.readLog({ job: 'one', offset: 0, follow: false, signal, ...wanted }))

test('a log is bytes as they are, and its query is checked', async () => {
  const log = randomBytes(300_000)
  const asked: unknown[] = []
  bytes = {
    ...bytes,
    readLog: async (job, query) => {
      asked.push([job, query])
      return Readable.from([log.subarray(0, 7), log.subarray(7)])
    },
  }
  expect((await logOf({ cluster: 'c', offset: 5, limit: 9 }, onlooker)).equals(log)).toBe(true)
  expect(asked).toEqual([['one', { cluster: 'c', offset: 5, limit: 9, follow: 'false' }]])
  for (const wrong of [{ offset: -1 }, { limit: 65 << 20 }, { cluster: '..' }, { job: '../x' }])
    await expect(logOf(wrong)).rejects.toMatchObject({ code: 'bad-input' })
})

test('a log that cannot be had says why, one that breaks off is cut, and who hangs up ends its reading', async () => {
  bytes = { ...bytes, readLog: () => Promise.reject(new RopewalkError('not-found', 'no such job')) }
  await expect(logOf()).rejects.toMatchObject({ code: 'not-found', message: 'no such job' })
  bytes = {
    ...bytes,
    readLog: async () =>
      (async function* () {
        yield Buffer.from('half')
        throw new RopewalkError('timeout')
      })(),
  }
  await expect(logOf()).rejects.toMatchObject({ code: 'stream-reset' })
  const ended = new Promise<void>((resolve) => {
    bytes = {
      ...bytes,
      readLog: async (_job, _query, gone) =>
        (async function* () {
          yield Buffer.from('first')
          await once(gone, 'abort')
          resolve()
        })(),
    }
  })
  for await (const _ of local.readLog({ job: 'one', offset: 0, follow: true, signal })) break
  await ended
})

test('a package passes through and is never whole in between', async () => {
  const size = 64 << 20
  let [got, most] = [0, 0]
  const before = heldBytes()
  bytes = {
    ...bytes,
    putPackage: async (name, sent) => {
      expect([name, sent.cluster, sent.bytes]).toEqual([NAME, 'c', size])
      for await (const chunk of sent.content as AsyncIterable<Buffer>) {
        got += chunk.length
        if (got % (8 << 20) < chunk.length) most = Math.max(most, heldBytes() - before)
      }
    },
  }
  const piece = Buffer.alloc(1 << 16)
  const content = Readable.from(
    (function* () {
      for (let left = size; left > 0; left -= piece.length) yield piece
    })(),
  )
  await local.putPackage({ name: NAME, cluster: 'c', bytes: size, content, signal })
  expect(got).toBe(size)
  expect(most).toBeLessThan(16 << 20)
})

test('a package is refused early with the reason, and one that breaks off is told to whoever takes it', async () => {
  const endless = () =>
    Readable.from(
      (function* () {
        for (;;) yield Buffer.alloc(1 << 16)
      })(),
    )
  bytes = { ...bytes, putPackage: () => Promise.reject(new RopewalkError('too-large', 'too much')) }
  const wanted = { name: NAME, bytes: 200 << 20, signal }
  await expect(local.putPackage({ ...wanted, content: endless() })).rejects.toMatchObject({ code: 'too-large' })
  await expect(onlooker.putPackage({ ...wanted, content: endless() })).rejects.toMatchObject({ code: 'forbidden' })
  await expect(local.putPackage({ ...wanted, name: 'x', content: endless() })).rejects.toMatchObject({
    code: 'bad-input',
  })
  const stop = new AbortController()
  const told = new Promise<unknown>((resolve) => {
    bytes = {
      ...bytes,
      putPackage: async (_name, sent, gone) => {
        try {
          for await (const _ of sent.content) stop.abort()
        } catch (error) {
          resolve([gone.aborted, error instanceof Error])
        }
      },
    }
  })
  await expect(local.putPackage({ ...wanted, content: endless(), signal: stop.signal })).rejects.toMatchObject({
    code: 'aborted',
  })
  expect(await told).toEqual([true, true])
})
