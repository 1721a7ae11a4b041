import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Forwarder, type SessionOptions } from '../index.ts'
import { codeOf } from './mesh.ts'

const session = (id: string, a: number, b: number): SessionOptions => ({
  id,
  a: { slot: a, secret: randomBytes(32) },
  b: { slot: b, secret: randomBytes(32) },
  expiresAtMs: Date.now() + 60_000,
})

describe('a forwarder', () => {
  let forwarder: Forwarder
  let client: Socket

  beforeEach(async () => {
    forwarder = await Forwarder.open({ listen: [{ address: '127.0.0.1', port: 0 }] })
    client = createSocket('udp4').bind(0, '127.0.0.1')
    await once(client, 'listening')
  })

  afterEach(async () => {
    client.close()
    await forwarder.close()
  })

  const ask = async (question: Uint8Array): Promise<Buffer> => {
    const answer = once(client, 'message')
    client.send(question, forwarder.address.port, forwarder.address.address)
    const [bytes] = await answer
    return bytes
  }

  test('tells by STUN where a padded request came from', async () => {
    const transaction = randomBytes(12)
    const request = Buffer.concat([Buffer.from('0001002c2112a442', 'hex'), transaction, Buffer.alloc(44)])
    request.writeUInt16BE(0x0026, 20) // PADDING
    request.writeUInt16BE(40, 22)
    const answer = await ask(request)
    expect(answer.length).toBeLessThanOrEqual(request.length)
    expect(answer.readUInt16BE(0)).toBe(0x0101)
    expect(answer.subarray(8, 20)).toEqual(transaction)
    expect(answer.readUInt16BE(26) ^ 0x2112).toBe(client.address().port)
    expect(forwarder.status().totals.stun).toBe(1)
  })

  test('answers a bind request with a cookie of the same length', async () => {
    const request = Buffer.concat([Buffer.from('8452574b', 'hex'), Buffer.from([7, 0, 0, 0]), randomBytes(16)])
    const answer = await ask(Buffer.concat([request, Buffer.alloc(40)]))
    expect(answer).toHaveLength(64)
    expect(answer[0]).toBe(0x85)
    expect(answer.subarray(8, 24)).toEqual(request.subarray(8, 24))
  })

  test('keeps sessions until they are removed', () => {
    forwarder.setSessions([session('one', 1, 2), session('two', 3, 4)])
    forwarder.setSessions([session('three', 1, 6)], ['one'])
    const { sessions } = forwarder.status()
    expect(sessions.map(({ id }) => id).sort()).toEqual(['three', 'two'])
    const [two] = sessions.filter(({ id }) => id === 'two')
    expect(two?.a).toMatchObject({ slot: 3, packets: 0, bytes: 0, dropped: 0 })
    expect(two?.a.bound).toBeUndefined()
    expect(two?.leftMs).toBeGreaterThan(50_000)
  })

  test('refuses what cannot be, with a code, and changes nothing', async () => {
    forwarder.setSessions([session('one', 1, 2)])
    const good = session('good', 8, 9)
    const invalid = 'ERR_WIREGUARD_INVALID_ARGUMENT'
    const cases: [string, Partial<SessionOptions>][] = [
      ['ERR_WIREGUARD_SLOT_TAKEN', session('clash', 2, 3)],
      [invalid, { expiresAtMs: Date.now() - 1 }],
      [invalid, { expiresAtMs: Date.now() + 3_700_000 }],
      [invalid, { expiresAtMs: Number.NaN }],
      [invalid, { quotaBytes: -1 }],
      [invalid, { a: { slot: 2 ** 32, secret: randomBytes(32) } }],
      [invalid, { a: { slot: 1.5, secret: randomBytes(32) } }],
      [invalid, { b: { slot: 5, secret: randomBytes(31) } }],
      [invalid, { id: '' }],
    ]
    for (const [code, wrong] of cases) {
      expect(await codeOf(() => forwarder.setSessions([{ ...good, ...wrong }])), JSON.stringify(wrong)).toBe(code)
    }
    expect(await codeOf(() => forwarder.setSessions('x' as never))).toBe(invalid)
    expect(forwarder.status().sessions.map(({ id }) => id)).toEqual(['one'])
  })

  test('cannot be used after it was closed, and its port is free again', async () => {
    const { address } = forwarder
    await Promise.all([forwarder.close(), forwarder.close()])
    await forwarder.closed
    expect(await codeOf(() => forwarder.status())).toBe('ERR_WIREGUARD_CLOSED')
    expect(await codeOf(() => forwarder.setSessions([]))).toBe('ERR_WIREGUARD_CLOSED')
    await using heir = await Forwarder.open({ listen: [address] })
    expect(heir.address).toEqual(address)
  })

  test('says that a port is taken', async () => {
    expect(await codeOf(() => Forwarder.open({ listen: [forwarder.address] }))).toBe('ERR_WIREGUARD_ADDRESS_IN_USE')
  })
})

test('bad options are refused with a code', async () => {
  const bad = [
    null,
    {},
    { listen: [] },
    { listen: [{ address: 'localhost', port: 1 }] },
    { listen: [{ address: '::1' }] },
  ]
  for (const options of bad) {
    expect(await codeOf(() => Forwarder.open(options as never)), JSON.stringify(options)).toBe(
      'ERR_WIREGUARD_INVALID_ARGUMENT',
    )
  }
})
