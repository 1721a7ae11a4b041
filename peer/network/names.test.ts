import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isRopewalkError } from '@ropewalk/shared/errors'
import * as dns from 'dns-packet'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  createResolvConf,
  createResolver,
  type NamedMember,
  nameserversOf,
  originalResolvConf,
  type Resolver,
  Zone,
} from './index.ts'

const member: NamedMember = { name: 'worker-a', addresses: { v6: 'fd00:1:2::a', v4: '100.88.0.7' } }
const zone = new Zone('demo', {
  byName: (name) => (name === member.name ? member : undefined),
  byAddress: (address) => (address === member.addresses.v4 ? member : undefined),
})

function query(name: string, type: 'A' | 'AAAA' | 'PTR' | 'MX' = 'A'): Buffer {
  return dns.encode({ type: 'query', id: 77, flags: dns.RECURSION_DESIRED, questions: [{ type, name, class: 'IN' }] })
}

const rcodeOf = (packet: dns.DecodedPacket): number => (packet.flags ?? 0) & 0xf

function answered(message: Uint8Array): dns.DecodedPacket {
  const reply = zone.reply(message)
  if (reply.kind !== 'answer') throw new Error(`the zone said ${reply.kind}`)
  return dns.decode(dns.encode(reply.packet))
}

describe('the zone of a network', () => {
  test('a member has an A and an AAAA record, whatever the case', () => {
    expect(answered(query('Worker-A.demo.internal')).answers?.[0]).toMatchObject({ type: 'A', data: '100.88.0.7' })
    expect(answered(query('worker-a.demo.internal', 'AAAA')).answers?.[0]).toMatchObject({ data: 'fd00:1:2::a' })
  })

  test('a member without the type asked for exists all the same', () => {
    const packet = answered(query('worker-a.demo.internal', 'MX'))
    expect([rcodeOf(packet), packet.answers?.length, packet.authorities?.[0]?.type]).toEqual([0, 0, 'SOA'])
  })

  test('an unknown name of the zone is denied here and never handed on', () => {
    expect(rcodeOf(answered(query('nobody.demo.internal')))).toBe(3)
    expect(zone.reply(query('demo.internal.example.org')).kind).toBe('foreign')
    expect(zone.reply(query('otherdemo.internal')).kind).toBe('foreign')
  })

  test("a member's address has its name", () => {
    const packet = answered(query('7.0.88.100.in-addr.arpa', 'PTR'))
    expect(packet.answers?.[0]).toMatchObject({ type: 'PTR', data: 'worker-a.demo.internal' })
    expect(zone.reply(query('8.8.8.8.in-addr.arpa', 'PTR')).kind).toBe('foreign')
  })

  test('no bytes make it throw', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 6000 }), (bytes) => void zone.reply(bytes)))
    const valid = query('worker-a.demo.internal')
    fc.assert(
      fc.property(fc.nat(valid.length - 1), fc.nat(255), (at, value) => {
        const broken = Buffer.from(valid)
        broken[at] = value
        zone.reply(broken)
      }),
    )
  })
})

describe('the resolver', () => {
  const ask = async (): Promise<Uint8Array> => dns.encode({ type: 'response', id: 77, flags: 0 })

  /** On a port that is free for UDP and, which the system does not know we want too, for TCP. */
  async function serve(upstreams: string[] = []): Promise<Resolver> {
    for (let attempts = 20; ; attempts--) {
      const resolver = createResolver({ addresses: ['127.0.0.1'], port: 0, upstreams: () => upstreams }, { zone, ask })
      try {
        await resolver.start()
        return resolver
      } catch (error) {
        if (!isRopewalkError(error, 'address-in-use') || attempts === 0) throw error
      }
    }
  }

  async function overUdp(resolver: Resolver, message: Uint8Array): Promise<dns.DecodedPacket> {
    const socket = createSocket('udp4')
    socket.send(message, resolver.port, '127.0.0.1')
    const [bytes] = (await once(socket, 'message')) as [Buffer]
    socket.close()
    return dns.decode(bytes)
  }

  test('answers by UDP and by TCP, in pieces too', async () => {
    await using resolver = await serve()
    expect((await overUdp(resolver, query('worker-a.demo.internal'))).answers).toHaveLength(1)
    const socket = connect(resolver.port, '127.0.0.1')
    const message = query('worker-a.demo.internal')
    socket.write(Uint8Array.of(0, message.length, message[0] ?? 0))
    socket.write(message.subarray(1))
    const [bytes] = (await once(socket, 'data')) as [Buffer]
    expect(dns.decode(bytes.subarray(2)).answers).toHaveLength(1)
    socket.destroy()
  })

  test('hands other names to the upstream, or refuses them when there is none', async () => {
    await using alone = await serve()
    expect(rcodeOf(await overUdp(alone, query('example.org')))).toBe(5)
    await using with1 = await serve(['192.0.2.1'])
    expect(rcodeOf(await overUdp(with1, query('example.org')))).toBe(0)
  })

  test('a peer that sends rubbish by TCP is cut and the others are served', async () => {
    await using resolver = await serve()
    const socket = connect(resolver.port, '127.0.0.1')
    socket.write(Buffer.alloc(64, 0xff))
    await once(socket, 'close')
    expect((await overUdp(resolver, query('worker-a.demo.internal'))).answers).toHaveLength(1)
  })
})

describe('the resolv.conf of this node', () => {
  test('what was there before comes back, after a crash too', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'resolv-'))
    const file = join(folder, 'resolv.conf')
    const before = 'nameserver 192.0.2.53\nsearch example.org\noptions ndots:2\n'
    await writeFile(file, before)
    const options = { file, nameservers: ['100.88.0.7'], search: 'demo.internal' }
    await createResolvConf(options).start() // and crashes
    const hooked = createResolvConf(options)
    await hooked.start()
    const text = await readFile(file, 'utf8')
    expect(text).toMatch(/^nameserver 100\.88\.0\.7$/m)
    expect(text).toMatch(/^search demo\.internal example\.org$/m)
    expect(nameserversOf(originalResolvConf(text), new Set())).toEqual(['192.0.2.53'])
    await hooked.stop()
    expect(await readFile(file, 'utf8')).toBe(before)
    await rm(folder, { recursive: true })
  })

  test('a file that somebody else wrote meanwhile stays theirs', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'resolv-'))
    const file = join(folder, 'resolv.conf')
    await writeFile(file, 'nameserver 192.0.2.53\n')
    const hooked = createResolvConf({ file, nameservers: ['100.88.0.7'], search: 'demo.internal' })
    await hooked.start()
    await writeFile(file, 'nameserver 198.51.100.1\n')
    await hooked.stop()
    expect(await readFile(file, 'utf8')).toBe('nameserver 198.51.100.1\n')
    await rm(folder, { recursive: true })
  })
})
