import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { listeningSockets, rowsOf, usedPorts } from './table.ts'

const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 700001        0 12345 1 0000000000000000 100 0 0 10 0
   1: 0100007F:D431 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 12346 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:D432 0100007F:1F9`

test('rows are read as the kernel writes them, and half a row is none', () => {
  expect(rowsOf(TABLE)).toEqual([
    { port: 8080, state: '0A', user: 700_001 },
    { port: 54_321, state: '01', user: 0 },
  ])
})

test('ports that listen and UDP ports are used, those of outgoing connections are not', async () => {
  const server = createServer().listen(0, '::')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const udp = createSocket('udp6').bind(0, '::1')
  await once(udp, 'listening')
  const used = await usedPorts()
  expect([used.has(port), used.has(udp.address().port), used.has(socket.localPort ?? 0)]).toEqual([true, true, false])
  expect(await listeningSockets()).toContainEqual(expect.objectContaining({ port, user: process.getuid?.() }))
  socket.destroy()
  udp.close()
  server.close()
})

test('whatever the table holds, ports and users come out or nothing', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const { port, user } of rowsOf(text)) expect([port < 65_536, user >= 0]).toEqual([true, true])
    }),
  )
})
