import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import { type AddressInfo, connect, createServer as createPort, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { createNoiseLimit } from './noise.ts'
import { createSources } from './sources.ts'
import { createWebDoor } from './web-door.ts'

describe('lines about strangers', () => {
  test('are so many, and those left out are counted in the next', () => {
    let nowMs = 0
    const noise = createNoiseLimit({ burst: 3, perMinute: 60, nowMs: () => nowMs })
    expect(Array.from({ length: 6 }, () => noise.pass())).toEqual([0, 0, 0, undefined, undefined, undefined])
    nowMs = 1000
    expect([noise.pass(), noise.pass()]).toEqual([3, undefined])
    nowMs = 1_000_000
    expect(Array.from({ length: 4 }, () => noise.pass())).toEqual([1, 0, 0, undefined])
  })
})

describe('HTTP connections of one source', () => {
  test('hold a place until they close, upgraded ones aside', async () => {
    const server = createServer((_request, response) => response.end('x'))
    server.on('upgrade', (_request, socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'))
    const door = createWebDoor(server, { connections: createSources({ perSource: 2, total: 10 }) })
    const sockets = new Set<Socket>()
    const port = createPort((socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      door(socket, () => undefined)
    })
    port.listen(0, '127.0.0.1')
    await once(port, 'listening')
    const { port: number } = port.address() as AddressInfo
    const get = async (agent: Agent): Promise<number> => {
      const sent = request({ host: '127.0.0.1', port: number, agent })
      sent.end()
      const [response] = (await once(sent, 'response')) as [NodeJS.ReadableStream & { statusCode: number }]
      response.resume()
      await once(response, 'end')
      return response.statusCode
    }
    const agents = Array.from({ length: 4 }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
    const [one = new Agent(), two = new Agent(), three = new Agent(), four = new Agent()] = agents
    expect([await get(one), await get(two), await get(one)]).toEqual([200, 200, 200])
    await expect(get(three)).rejects.toMatchObject({ code: 'ECONNRESET' })
    for (let count = 0; count < 5; count++) {
      const upgraded = connect({ host: '127.0.0.1', port: number })
      upgraded.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
      expect(String((await once(upgraded, 'data'))[0])).toContain('101')
    }
    one.destroy()
    await expect.poll(() => get(four).catch(() => 0)).toBe(200)
    for (const agent of agents) agent.destroy()
    for (const socket of sockets) socket.destroy()
    port.close()
  })
})
