import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Forwarder } from '../index.ts'
import { introduce, type Member, member } from './mesh.ts'

/** The engine's echo of 60 bytes, padded to 64, with WireGuard's 32 and the forwarder's header of 8. */
const ECHO_BYTES = 64 + 32 + 8

describe('with a forwarder', { timeout: 20_000 }, () => {
  let forwarder: Forwarder
  let a: Member
  let b: Member

  beforeEach(async () => {
    forwarder = await Forwarder.open({ listen: [{ address: '127.0.0.1', port: 0 }] })
    const members = [await member(1, 'netstack'), await member(2, 'netstack')]
    const [first, second] = members
    if (first === undefined || second === undefined) throw new Error('the netstack is always there')
    ;[a, b] = [first, second]
  })

  afterEach(async () => {
    await Promise.all([a.device.close(), b.device.close(), forwarder.close()])
  })

  test('a device learns by STUN how its socket is seen from outside', async () => {
    const transaction = randomBytes(12)
    const request = Buffer.concat([Buffer.from('0001002c2112a442', 'hex'), transaction, Buffer.alloc(44)])
    request.writeUInt16BE(0x0026, 20)
    request.writeUInt16BE(40, 22)
    a.device.sendControl(0, forwarder.address, request)
    const event = await a.until(({ type }) => type === 'control')
    if (event.type !== 'control') throw new Error('no control event')
    expect(event.from).toEqual(forwarder.address)
    const answer = Buffer.from(event.bytes)
    expect(answer.subarray(8, 20)).toEqual(transaction)
    expect(answer.readUInt16BE(26) ^ 0x2112).toBe(a.endpoint.port)
  })

  test('two devices without a direct path reach each other, and are cut when the session is removed', async () => {
    const sides = { a: { slot: 71, secret: randomBytes(32) }, b: { slot: 72, secret: randomBytes(32) } }
    forwarder.setSessions([{ id: 'pair', ...sides, expiresAtMs: Date.now() + 60_000 }])
    for (const [near, far, session] of [
      [a, b, sides.a],
      [b, a, sides.b],
    ] as const) {
      introduce(near, far)
      near.device.updatePaths(far.publicKey, [{ id: 5, local: 0, remote: forwarder.address, session, costClass: 1 }])
    }
    expect(await a.device.ping(b.v6, { timeoutMs: 10_000 })).toBeGreaterThan(0)
    const [path] = a.device.status().peers[0]?.paths ?? []
    expect(path).toMatchObject({ id: 5, relayed: true, active: true, remote: forwarder.address })
    const before = forwarder.status().sessions[0]
    expect(before?.a.bound).toEqual(a.endpoint)
    expect(before?.a.bytes).toBeGreaterThan(0)
    expect(before?.b.bytes).toBeGreaterThan(0)
    const bytes = () => ((path) => [path?.rxBytes, path?.txBytes])(a.device.status().peers[0]?.paths[0])
    const [received = 0, sent = 0] = bytes()
    await a.device.ping(b.v4)
    expect(bytes()).toEqual([received + ECHO_BYTES, sent + ECHO_BYTES])
    forwarder.setSessions([], ['pair'])
    await expect(a.device.ping(b.v6, { timeoutMs: 500 })).rejects.toMatchObject({ code: 'ERR_WIREGUARD_TIMED_OUT' })
  })
})
