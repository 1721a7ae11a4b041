import { createHash, createPrivateKey, randomBytes, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { connect as connectTls, createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Identity, makeIdentity, Splicer } from '../index.ts'

const PROTOCOL = 'rope/1'
const NOTHING = new Uint8Array(0)

function material(name: 'one' | 'two'): { certificate: Buffer; key: Buffer } {
  const file = (kind: string) =>
    readFileSync(join(import.meta.dirname, '../src/splice/testdata', `${name}.${kind}.der`))
  return { certificate: file('crt'), key: file('key') }
}

function identity(name: 'one' | 'two'): Identity {
  const { certificate, key } = material(name)
  return makeIdentity(certificate, key, PROTOCOL)
}

/** The same for Node's own TLS, which is OpenSSL. */
function context(name: 'one' | 'two'): SecureContext {
  const { certificate, key } = material(name)
  return createSecureContext({
    cert: new X509Certificate(certificate).toString(),
    key: createPrivateKey({ key, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' }),
    minVersion: 'TLSv1.3',
  })
}

let server: Server
let splicer: Splicer
const sockets: Socket[] = []

beforeEach(async () => {
  splicer = new Splicer()
  server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})

afterEach(async () => {
  await splicer.close()
  for (const socket of sockets.splice(0)) socket.destroy()
  server.close()
})

/** Both ends of a TCP connection. */
async function tcp(): Promise<[Socket, Socket]> {
  const accepted = once(server, 'connection')
  const here = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
  const [[there]] = (await Promise.all([accepted, once(here, 'connect')])) as [[Socket], unknown]
  for (const socket of [here, there]) socket.on('error', () => undefined)
  sockets.push(here, there)
  return [here, there]
}

function text(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? NOTHING).toString()
}

function segments(...parts: Uint8Array[]): Buffer {
  const framed = parts.flatMap((part) => {
    const prefix = Buffer.alloc(4)
    prefix.writeUInt32BE(part.length)
    return [prefix, part]
  })
  return Buffer.concat([...framed, Buffer.alloc(4)])
}

describe('two sockets joined', () => {
  test('pass on what Node had read already, what comes, and both ends', async () => {
    const [[a, near], [b, far]] = [await tcp(), await tcp()]
    a.write('read before, ')
    near.resume()
    near.pause()
    await once(near, 'readable')
    const splice = splicer.join(near, far, Buffer.from('to a'), Buffer.from('to b: '))
    a.end('and after')
    expect(String(await buffer(b))).toBe('to b: read before, and after')
    b.end(', and back')
    expect(String(await buffer(a))).toBe('to a, and back')
    expect(await splice.closed).toEqual({})
    expect(splice.bytes).toEqual({ forth: 22, back: 10 })
  })

  test('a reset of one is the fault of both', async () => {
    const [[a, near], [, far]] = [await tcp(), await tcp()]
    const splice = splicer.join(near, far)
    a.resetAndDestroy()
    expect(await splice.closed).toMatchObject({ fault: 'reset' })
  })

  test('destroying one of them, or an order, breaks it off', async () => {
    const [[, near], [, far]] = [await tcp(), await tcp()]
    const splice = splicer.join(near, far)
    near.destroy()
    expect(await splice.closed).toMatchObject({ fault: 'cut' })
    splice.cut()
    const [[, one], [, two]] = [await tcp(), await tcp()]
    const other = splicer.join(one, two)
    other.cut()
    expect(await other.closed).toMatchObject({ fault: 'cut' })
  })

  test('one that is closed already is a fault, and so is a closed splicer', async () => {
    const [[, near], [, far]] = [await tcp(), await tcp()]
    near.destroy()
    expect(await splicer.join(near, far).closed).toMatchObject({ fault: 'reset' })
    const [[, one], [, two]] = [await tcp(), await tcp()]
    const live = splicer.join(one, two)
    await splicer.close()
    expect(await live.closed).toMatchObject({ fault: 'failed' })
    expect(live.bytes).toEqual({ forth: 0, back: 0 })
    expect(await splicer.join(one, two).closed).toMatchObject({ fault: 'reset' })
  })
})

describe('TLS by the engine', () => {
  test.each(['client', 'server'] as const)('as %s agrees with OpenSSL and carries a stream', async (side) => {
    const [[near, far], [local, end]] = [await tcp(), await tcp()]
    const secured = splicer.secure(near, side, identity('one'))
    const options = { secureContext: context('two'), rejectUnauthorized: false, ALPNProtocols: [PROTOCOL] }
    const tls =
      side === 'server'
        ? connectTls({ socket: far, ...options })
        : new TLSSocket(far, { isServer: true, requestCert: true, ...options })
    await once(tls, side === 'server' ? 'secureConnect' : 'secure')
    expect(Buffer.from((await secured.certificate) ?? NOTHING)).toEqual(material('two').certificate)
    expect(tls.getPeerX509Certificate()?.raw).toEqual(material('one').certificate)
    tls.write('a question')
    expect(text(await secured.receive())).toBe('a question')
    secured.send(Buffer.from('an answer'))
    expect(String((await once(tls, 'data'))[0])).toBe('an answer')
    secured.attach(end, NOTHING, Buffer.from('first, '))
    const bytes = randomBytes(8 << 20)
    tls.end(segments(bytes.subarray(0, 5), bytes.subarray(5)))
    const got = buffer(tls)
    const digest = createHash('sha256')
      .update(await buffer(local))
      .digest('hex')
    expect(digest).toBe(createHash('sha256').update(bytes).digest('hex'))
    local.end(bytes)
    const framed = await got
    expect(framed.subarray(0, 11)).toEqual(segments(Buffer.from('first, ')).subarray(0, 11))
    expect(framed.subarray(-4)).toEqual(Buffer.alloc(4))
    expect(framed.length).toBeGreaterThan(bytes.length)
    expect(await secured.closed).toEqual({})
    expect(secured.bytes).toEqual({ forth: bytes.length, back: bytes.length })
  })

  test('is closed by a fault when the other speaks no TLS or goes', async () => {
    const [near, far] = await tcp()
    const secured = splicer.secure(near, 'server', identity('one'))
    far.write('GET / HTTP/1.1\r\n\r\n')
    expect(await secured.certificate).toBeUndefined()
    expect(await secured.closed).toMatchObject({ fault: 'tls' })
    expect(await secured.receive()).toBeUndefined()
    const [one, other] = await tcp()
    other.destroy()
    expect(await splicer.secure(one, 'client', identity('one')).certificate).toBeUndefined()
  })

  async function both() {
    const [near, far] = await tcp()
    const [client, agent] = [
      splicer.secure(near, 'client', identity('one')),
      splicer.secure(far, 'server', identity('two')),
    ]
    await Promise.all([client.certificate, agent.certificate])
    return { near, far, client, agent }
  }

  test('a duplex carries both ends, and a fault is its error, never an end', async () => {
    const { near, client, agent } = await both()
    const errorOf = ({ fault }: { fault?: string }) => new Error(fault)
    const [a, b] = [client.duplex(NOTHING, errorOf), agent.duplex(NOTHING, errorOf)]
    a.write('hello')
    expect(String((await once(b, 'data'))[0])).toBe('hello')
    let ended = false
    b.on('end', () => {
      ended = true
    })
    const failed = [once(a, 'error'), once(b, 'error')]
    near.resetAndDestroy()
    const [[one], [two]] = (await Promise.all(failed)) as [[Error], [Error]]
    expect([one.message, two.message]).toEqual(['cut', 'reset'])
    expect(ended).toBe(false)
  })

  test('a duplex that is destroyed early is no end at the other', async () => {
    const { client, agent, near } = await both()
    const [a, b] = [client.duplex(NOTHING, () => new Error('a')), agent.duplex(NOTHING, () => new Error('b'))]
    void client.closed.then(() => near.resetAndDestroy())
    const failed = once(b.resume(), 'error')
    a.destroy()
    expect(await client.closed).toMatchObject({ fault: 'cut' })
    await failed
  })

  test('parting is told as the last word', async () => {
    const { client, agent, far } = await both()
    agent.part(Buffer.from('refused'))
    expect(text(await client.receive())).toBe('refused')
    client.part(NOTHING)
    expect(await agent.closed).toEqual({})
    far.destroy()
  })

  test('a certificate without its key is refused', () => {
    expect(() => makeIdentity(material('one').certificate, material('two').key, PROTOCOL)).toThrow('identity')
  })
})
