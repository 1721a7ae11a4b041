import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { portsOf, usedPorts } from './used-ports.ts'

test('ports that listen and UDP ports are used, those of outgoing connections are not', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const udp = createSocket('udp6').bind(0, '::1')
  await once(udp, 'listening')
  const used = await usedPorts()
  expect([used.has(port), used.has(udp.address().port), used.has(socket.localPort ?? 0)]).toEqual([true, true, false])
  socket.destroy()
  udp.close()
  server.close()
})

test('whatever the table holds, ports come out or nothing', () => {
  fc.assert(
    fc.property(fc.string(), fc.boolean(), (text, listening) => {
      for (const port of portsOf(text, listening)) expect(port).toBeLessThan(65_536)
    }),
  )
})
