// A forwarder of ours in a process of its own, with one session. Prints `ready`.
//   node forwarder.ts SESSION   (JSON, see ForwarderSession)
import { Forwarder } from 'node-wireguard'
import type { ForwarderSession } from '../forwarder.ts'

const LIFE_MS = 30 * 60_000
const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))
const { listen, a, b } = JSON.parse(process.argv[2] ?? '') as ForwarderSession
const forwarder = await Forwarder.open({ listen: [listen] })
forwarder.setSessions([
  {
    id: 'bench',
    a: { ...a, secret: bytes(a.secret) },
    b: { ...b, secret: bytes(b.secret) },
    expiresAtMs: Date.now() + LIFE_MS,
  },
])
console.log('ready')
await forwarder.closed
