import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

const CONNECT_TIMEOUT_MS = 15_000

/** Both ends of one flow: what is written into `from` comes out of `to`. */
export interface Flow {
  readonly from: Socket
  readonly to: Socket
}

/** A service on loopback that the load ends in. */
export interface Sink extends AsyncDisposable {
  readonly port: number
  /** Connects to a port that leads here, and gives both ends. */
  reach(port: number): Promise<Flow>
}

/** Listens on a port of its own. */
export async function openSink(): Promise<Sink> {
  const server: Server = createServer({ pauseOnConnect: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async reach(port) {
      const arrived = once(server, 'connection', { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) })
      const from = connect({ host: '127.0.0.1', port })
      await once(from, 'connect')
      const [to] = (await arrived) as [Socket]
      return { from, to }
    },
    async [Symbol.asyncDispose]() {
      server.close()
    },
  }
}

/**
 * Zeros from one end to the other for some seconds; Gbit/s that arrived. The two ends become programs of their own, the same
 * for everybody, and this process lets go of them.
 */
export async function pump({ from, to }: Flow, seconds: number): Promise<number> {
  const env = { ...process.env, LC_ALL: 'C' }
  const receiver = spawn('dd', ['of=/dev/null', 'bs=256k'], { stdio: [to, 'ignore', 'pipe'], env })
  to.destroy()
  let said = ''
  receiver.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const words = [seconds.toString(), 'dd', 'if=/dev/zero', 'bs=256k']
  const sender = spawn('timeout', words, { stdio: ['ignore', from, 'ignore'], env })
  from.destroy()
  await Promise.all([once(receiver, 'close'), once(sender, 'close')])
  const [, bytes, time] = /(\d+) bytes .* copied, ([\d.]+) s/.exec(said) ?? []
  if (bytes === undefined || time === undefined) throw new Error(`dd said: ${said}`)
  return (Number(bytes) * 8) / Number(time) / 1e9
}
