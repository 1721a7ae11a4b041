// A UDP socket with a person's hands on it, for tests: `node datagrams.ts PORT`. It sends what lines of JSON on stdin ask for
// ({"to": "1.2.3.4", "port": 5, "text": "x"}, or "hex" in place of the text), and prints a line of JSON for all that arrives
// and for every error of a send.
import { createSocket } from 'node:dgram'
import { createInterface } from 'node:readline'

const port = Number(process.argv[2])
const socket = createSocket(process.argv[3] === 'udp6' ? 'udp6' : 'udp4')
const print = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)

socket.on('message', (message, { address, port }) => {
  print({ from: address, port, text: message.toString(), hex: message.toString('hex') })
})
socket.on('error', (error) => print({ error: error.message }))
socket.bind(port, () => print({ bound: socket.address().port }))

createInterface({ input: process.stdin }).on('line', (line) => {
  const { to, port, text = '', hex } = JSON.parse(line) as { to: string; port: number; text?: string; hex?: string }
  socket.send(hex === undefined ? text : Buffer.from(hex, 'hex'), port, to, (error) => {
    if (error) print({ error: (error as NodeJS.ErrnoException).code ?? error.message, text })
  })
})
