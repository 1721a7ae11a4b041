// Says one datagram again and again from several local addresses, and counts what comes back by its first byte:
// `node repeat.ts TARGET PORT HEX RATE FROM...`. It ends by SIGTERM, with a line of JSON about what it heard and sent.
import { createSocket } from 'node:dgram'

const [target = '', port, hex = '', rate, ...from] = process.argv.slice(2)
const datagram = Buffer.from(hex, 'hex')
const TICK_MS = 2
const heard: Record<string, number> = {}
let sent = 0

const sockets = from.map((address) => {
  const socket = createSocket('udp4')
  socket.on('message', (message) => {
    heard[message[0] ?? -1] = (heard[message[0] ?? -1] ?? 0) + 1
  })
  socket.bind(0, address)
  return socket
})
await Promise.all(sockets.map((socket) => new Promise((done) => socket.once('listening', done))))
console.log('ready')
const perTick = Math.ceil((Number(rate) * TICK_MS) / 1000)
setInterval(() => {
  for (let each = 0; each < perTick; each += 1) {
    sockets[sent % sockets.length]?.send(datagram, Number(port), target)
    sent += 1
  }
}, TICK_MS)
process.once('SIGTERM', () => {
  console.log(JSON.stringify({ sent, heard }))
  process.exit(0)
})
