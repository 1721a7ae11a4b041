// One end of a flow whose gaps are watched. The receiver takes lines on stdin: `mark` begins anew, `gap` is answered by the
// longest time without an arrival since then, in ms, the one that lasts included, and by how often a connection was lost.
//   node arrivals.ts receive|send tcp|udp ADDRESS
import { createSocket } from 'node:dgram'
import { connect, createServer } from 'node:net'
import { createInterface } from 'node:readline'

const PORT = 5300
const TICK_MS = 1
/** A sender that was held up sends at most so much at once afterwards. */
const MOST_AT_ONCE = 20
const TCP_BYTES = 8 << 10
const UDP_BYTES = 100

const [role, protocol, address = ''] = process.argv.slice(2)
if (role === 'receive') receive()
else send()

function receive(): void {
  let [last, longest, lost] = [performance.now(), 0, 0]
  const look = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    return now
  }
  const arrived = () => {
    last = look()
  }
  createInterface({ input: process.stdin }).on('line', (line) => {
    if (line === 'gap') {
      look()
      console.log(JSON.stringify({ gap: longest, lost }))
    } else longest = 0
  })
  if (protocol === 'udp') {
    createSocket('udp4')
      .on('message', arrived)
      .bind(PORT, address, () => console.log('ready'))
    return
  }
  const ended = () => {
    lost += 1
  }
  createServer((socket) =>
    socket
      .on('data', arrived)
      .on('error', () => {})
      .once('close', ended),
  ).listen(PORT, address, () => console.log('ready'))
}

function send(): void {
  if (protocol === 'udp') {
    const socket = createSocket('udp4')
    const packet = Buffer.alloc(UDP_BYTES)
    everyTick(() => socket.send(packet, PORT, address))
    return
  }
  const chunk = Buffer.alloc(TCP_BYTES)
  const socket = connect({ host: address, port: PORT, noDelay: true }, () => {
    everyTick(() => {
      if (!socket.writableNeedDrain) socket.write(chunk)
    })
  })
}

/** As many calls as ticks have passed: a timer alone falls behind. */
function everyTick(act: () => void): void {
  let next = performance.now()
  setInterval(() => {
    const now = performance.now()
    next = Math.max(next, now - MOST_AT_ONCE * TICK_MS)
    for (; next <= now; next += TICK_MS) act()
  }, TICK_MS)
}
