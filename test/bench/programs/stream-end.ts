// One end of a TCP stream through a device of ours, in a process of its byKernel: as a member without root has it, or with a TUN.
// The bytes are made and swallowed by dd, which gets the stream's descriptor.
//   node stream-end.ts SETTINGS   (JSON, see StreamEnd)
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { Device } from 'node-wireguard'
import type { StreamEnd } from '../stream-end.ts'

const PORT = 5000
const DIAL_MS = 15_000
const BLOCK = 'bs=256k'

const end = JSON.parse(process.argv[2] ?? '') as StreamEnd
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))
const { publicKey, allowedIps, endpoint } = end.peer
const device = await Device.open({
  privateKey: bytes(end.privateKey),
  listen: [{ address: '0.0.0.0', port: endpoint.port }],
  interface: end.interface,
})
device.setFilter({ allow: [{ protocol: 'tcp' }] })
device.updatePeers([{ publicKey: bytes(publicKey), allowedIps }])
device.updatePaths(bytes(publicKey), [{ id: 1, local: 0, remote: endpoint, costClass: 0 }])
const byKernel = 'tun' in end.interface

if (end.sendSeconds === undefined) await receive()
else await send(end.sendSeconds)
await device.close()

async function receive(): Promise<void> {
  const { promise: arrived, resolve } = Promise.withResolvers<Socket>()
  if (byKernel) {
    const server = createServer({ pauseOnConnect: true }, (socket) => {
      server.close()
      resolve(socket)
    })
    server.listen(PORT, end.address)
    await once(server, 'listening')
  } else await device.listen({ address: end.address, port: PORT }, (socket) => resolve(socket.pause()))
  console.log(`listening by ${device.backend}`)
  const socket = await arrived
  const env = { ...process.env, LC_ALL: 'C' }
  const dd = spawn('dd', ['of=/dev/null', BLOCK], { stdio: [socket, 'ignore', 'inherit'], env })
  socket.destroy() // the child holds the stream now
  await once(dd, 'close')
}

async function send(seconds: number): Promise<void> {
  const socket = byKernel
    ? connect({ host: end.remoteAddress, port: PORT, timeout: DIAL_MS })
    : await device.dial({ address: end.remoteAddress, port: PORT, timeoutMs: DIAL_MS })
  if (byKernel) await once(socket, 'connect')
  const words = [seconds.toString(), 'dd', 'if=/dev/zero', BLOCK]
  const dd = spawn('timeout', words, { stdio: ['ignore', socket, 'ignore'] })
  socket.destroy()
  await once(dd, 'close')
  await once(process, 'SIGTERM') // what is on its way still needs the device
}
