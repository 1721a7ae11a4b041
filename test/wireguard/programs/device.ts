// One Device of ours in a process of its own, for tests and benches. Lines of JSON: the first on stdin is its options, each
// further one a call, answered by one line on stdout; events come as lines in between. Bytes are written as base64.
import { createInterface } from 'node:readline'
import { Device } from 'node-wireguard'
import type { DeviceCall, DeviceSettings } from '../device-call.ts'

/** Counters of the device as a whole (src/device/counters.rs); those of peers and paths stand behind them. */
const DEVICE_WORDS = 64

const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))
const print = (line: object) => process.stdout.write(`${JSON.stringify(line, plain)}\n`)

/** Keys are read by people in base64, not as an object of numbers. */
function plain(_: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  return value instanceof Error ? value.message : value
}

let device: Device | undefined

async function handle(line: string): Promise<void> {
  if (device === undefined) {
    const { privateKey, ...settings } = JSON.parse(line) as DeviceSettings
    device = await Device.open({ ...settings, privateKey: bytes(privateKey) })
    void tell(device)
    print({ answer: { sockets: device.sockets, backend: device.backend } })
    return
  }
  const call = JSON.parse(line) as DeviceCall
  if (call.type === 'peer') {
    const { publicKey, presharedKey, ...peer } = call.peer
    const psk = presharedKey === undefined ? {} : { presharedKey: bytes(presharedKey) }
    device.updatePeers([{ ...peer, ...psk, publicKey: bytes(publicKey) }])
    const paths = call.paths.map(({ session, ...path }) =>
      session === undefined ? path : { ...path, session: { ...session, secret: bytes(session.secret) } },
    )
    if (paths.length > 0) device.updatePaths(bytes(publicKey), paths)
  } else if (call.type === 'filter') device.setFilter(call.filter)
  else if (call.type === 'fwmark') device.setFwmark(call.mark)
  print({ answer: answerTo(call, device) })
}

function answerTo({ type }: DeviceCall, opened: Device): unknown {
  if (type === 'status') return opened.status()
  return type === 'counters' ? Array.from(opened.counters.subarray(0, DEVICE_WORDS), Number) : null
}

async function tell(opened: Device): Promise<void> {
  for await (const events of opened.events) for (const event of events) print({ event })
}

let previous = Promise.resolve()
createInterface({ input: process.stdin }).on('line', (line) => {
  previous = previous
    .then(() => handle(line))
    .catch((error: Error) => {
      console.error(error)
      process.exit(1)
    })
})
process.once('SIGTERM', () => void previous.then(() => device?.close()).then(() => process.exit(0)))
