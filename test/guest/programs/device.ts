// Devices of ours in the guest, for tests of what their face does there. Lines of JSON on stdin: `open` with options, or a
// method of a device that is open and its arguments, `events` for all its events until now. One line of JSON answers each: what
// it returned or the error that it threw. Bytes are objects with base64.
import { createInterface } from 'node:readline'
import { Device, type DeviceEvent, WireguardError } from 'node-wireguard'
import type { Asked } from '../device.ts'

const isBytes = (value: unknown): value is { base64: string } =>
  typeof value === 'object' && value !== null && 'base64' in value
const revive = (_: string, value: unknown) =>
  isBytes(value) ? new Uint8Array(Buffer.from(value.base64, 'base64')) : value
const replace = (_: string, value: unknown) => {
  if (value instanceof WireguardError) return { code: value.code, message: value.message, hint: value.hint }
  return value instanceof Uint8Array ? { base64: Buffer.from(value).toString('base64') } : value
}

interface Opened {
  readonly device: Device
  readonly told: DeviceEvent[]
}

const opened: Opened[] = []

async function answerTo(line: string): Promise<unknown> {
  const asked = JSON.parse(line, revive) as Asked
  if ('open' in asked) {
    const device = await Device.open(asked.open)
    const told: DeviceEvent[] = []
    void hear(device, told)
    return opened.push({ device, told }) - 1
  }
  const { device, told } = opened[asked.device] ?? { told: [] }
  if (device === undefined || asked.method === 'events') return told
  const member = device[asked.method]
  return typeof member === 'function' ? await Reflect.apply(member, device, asked.args) : member
}

async function hear(device: Device, told: DeviceEvent[]): Promise<void> {
  for await (const events of device.events) told.push(...events)
}

let previous = Promise.resolve()
createInterface({ input: process.stdin }).on('line', (line) => {
  previous = previous
    .then(() => answerTo(line))
    .then(
      (returned) => console.log(JSON.stringify({ returned }, replace)),
      (threw) => console.log(JSON.stringify({ threw }, replace)),
    )
})
