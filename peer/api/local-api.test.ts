import { once } from 'node:events'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { peerApi } from '@ropewalk/shared/api'
import { RopewalkError } from '@ropewalk/shared/errors'
import { silentLogger } from '@ropewalk/shared/logger'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createLocalClient, findSocket } from '../client/index.ts'
import { createWatchers } from '../watchers/index.ts'
import { createLocalServer, type Handlers, type JobBytes, type OpenedStream } from './index.ts'

const unused = async () => {
  throw new RopewalkError('unsupported')
}

const handlers: Handlers<typeof peerApi> = {
  ...(Object.fromEntries(Object.keys(peerApi).map((name) => [name, unused])) as unknown as Handlers<typeof peerApi>),
  peer: async ({ params }) => {
    throw new RopewalkError('unknown-peer', `No member is called ${params.peer}`, { hint: 'ropewalk peers' })
  },
  ping: async ({ body }) => ({ version: 1, peer: body.peer, address: 'fd00::1', rttMs: 1, path: 'direct' }),
  expose: async ({ body }) => ({ version: 1, service: body }),
  topology: async () => {
    throw new Error('a bug')
  },
  shutdown: async () => ({ version: 1, done: true }),
}
const jobBytes: JobBytes = { readLog: unused, putPackage: unused }
const still = { snapshot: () => ({ epoch: 'e', sequence: 0 }), since: () => undefined, onDelta: () => () => undefined }
const rest = { handlers, jobBytes, watchers: createWatchers({}, still), logger: silentLogger }

/** Answers what it was sent, once the sender has ended: shows that half-close passes. */
function echoAtEnd(): OpenedStream {
  return {
    join: (socket, first) =>
      void text(socket).then(
        (all) => socket.end(`got ${Buffer.from(first)}${all}`),
        () => socket.destroy(),
      ),
    destroy: () => undefined,
  }
}

describe('the local API', () => {
  let folder = ''
  let server: ReturnType<typeof createLocalServer>
  const control = () => join(folder, 'control.sock')
  const accessDoor = () => join(folder, 'access.sock')

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'api-'))
    server = createLocalServer(
      {
        doors: [
          { path: control(), mode: 0o600, scopes: ['read', 'write', 'stream'] },
          { path: accessDoor(), mode: 0o660, group: 'no-such-group', scopes: ['read'] },
        ],
      },
      {
        ...rest,
        openStream: async ({ peer }) => {
          if (peer === 'nobody') throw new RopewalkError('not-exposed', 'nobody exposes nothing')
          return echoAtEnd()
        },
      },
    )
    await server.start()
  })
  afterEach(async () => {
    await server.stop()
    await rm(folder, { recursive: true })
  })

  test('answers what the contract says, and errors as they were meant', async () => {
    const { api } = createLocalClient(control())
    expect((await api.ping({ body: { peer: 'a' } })).path).toBe('direct')
    await expect(api.peer({ params: { peer: 'x' } })).rejects.toMatchObject({
      code: 'unknown-peer',
      hint: 'ropewalk peers',
    })
    await expect(api.topology()).rejects.toMatchObject({ code: 'internal' })
    const wrong = { body: { name: 'Bad Name!', port: 99_999 } } as unknown as Parameters<typeof api.expose>[0]
    await expect(api.expose(wrong)).rejects.toMatchObject({ code: 'bad-input' })
  })

  test('a door has its own scopes and file mode', async () => {
    const { api, openStream } = createLocalClient(accessDoor())
    await expect(api.shutdown()).rejects.toMatchObject({ code: 'forbidden' })
    await expect(openStream({ peer: 'a', service: 'ssh', via: 'auto' })).rejects.toMatchObject({ code: 'forbidden' })
    expect((await stat(control())).mode & 0o777).toBe(0o600)
    expect((await stat(accessDoor())).mode & 0o777).toBe(0o660)
  })

  test('a stream passes bytes and half-close both ways', async () => {
    const stream = await createLocalClient(control()).openStream({ peer: 'a', service: 'ssh', via: 'auto' })
    stream.end('a question')
    expect(await text(stream)).toBe('got a question')
  })

  test('a refused stream says why', async () => {
    const { openStream } = createLocalClient(control())
    const wanted = { peer: 'nobody', service: 'ssh', via: 'auto' } as const
    await expect(openStream(wanted)).rejects.toMatchObject({ code: 'not-exposed', message: 'nobody exposes nothing' })
  })

  test('stopping ends open streams and removes the sockets', async () => {
    const stream = await createLocalClient(control()).openStream({ peer: 'a', service: 'ssh', via: 'auto' })
    stream.on('error', () => {})
    const ended = once(stream, 'end')
    stream.resume()
    await server.stop()
    await ended
    stream.destroy()
    await expect(findSocket([control()])).rejects.toMatchObject({ code: 'not-running' })
  })

  test('rubbish on the socket does no harm', async () => {
    for (const bytes of [
      '\0\xff\r\n\r\n',
      'GET / HTTP/9\r\n\r\n',
      'POST /api/v1/streams HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
    ]) {
      const socket = connect(control())
      socket.on('error', () => {})
      socket.end(bytes)
      socket.resume()
      await once(socket, 'close')
    }
    expect((await createLocalClient(control()).api.ping({ body: { peer: 'a' } })).peer).toBe('a')
  })
})

describe('a socket file', () => {
  test('left over from a crash is taken over, a living one is not', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'api-'))
    const path = join(folder, 'control.sock')
    const options = { doors: [{ path, mode: 0o600, scopes: ['read'] as const }] }
    const make = () => createLocalServer(options, { ...rest, openStream: unused })
    await writeFile(path, '')
    const first = make()
    await first.start()
    await expect(make().start()).rejects.toMatchObject({ code: 'address-in-use' })
    await expect(createLocalClient(path).api.ping({ body: { peer: 'a' } })).resolves.toBeDefined()
    await first.stop()
    await rm(folder, { recursive: true })
  })

  test('of a killed peer means that none is running', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'api-'))
    const path = join(folder, 'control.sock')
    const listener = createServer().listen(path)
    await once(listener, 'listening')
    listener.close()
    await writeFile(path, '')
    await expect(createLocalClient(path).api.status()).rejects.toMatchObject({ code: 'not-running' })
    const long = join(folder, 'x'.repeat(100))
    const server = createLocalServer(
      { doors: [{ path: long, mode: 0o600, scopes: [] }] },
      { ...rest, openStream: unused },
    )
    await expect(server.start()).rejects.toMatchObject({ code: 'path-too-long' })
    await rm(folder, { recursive: true })
  })
})
