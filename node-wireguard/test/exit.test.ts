import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)
const face = JSON.stringify(join(import.meta.dirname, '../index.ts'))

/** Runs a program that has the face at hand; it must end by itself. */
async function program(body: string): Promise<string> {
  const prelude = `
    import { readdirSync, readFileSync } from 'node:fs'
    import { Device, Forwarder, generatePrivateKey } from ${face}
    const name = (task) => { try { return readFileSync('/proc/self/task/' + task + '/comm', 'utf8').trim() } catch { return 'has ended' } }
    // The engine's threads; those of single calls (wireguard-call) end by themselves once they have answered.
    const threads = () => readdirSync('/proc/self/task').map(name).filter((name) => /^(wireguard-(?!call)|netstack)/.test(name)).sort().join()
    const open = (backend = 'netstack') => Device.open({ privateKey: generatePrivateKey(),
      listen: [{ address: '127.0.0.1', port: 0 }], interface: { rootless: { addresses: ['10.77.0.1/24'], backend } } })`
  const flags = ['--input-type=module-typescript', '--eval', `${prelude}\n${body}`]
  const { stdout } = await run(process.execPath, flags, { timeout: 15_000 })
  return stdout.trim()
}

test('closing joins every thread, and the process ends by itself', { timeout: 20_000 }, async () => {
  const said = await program(`
    const device = await open()
    const forwarder = await Forwarder.open({ listen: [{ address: '127.0.0.1', port: 0 }] })
    await device.listen({ port: 80 }, () => {})
    await device.listenUdp({ address: '0.0.0.0', port: 53 })
    console.log(threads())
    await Promise.all([device.close(), forwarder.close()])
    console.log(threads())`)
  const [open, closed = ''] = said.split('\n')
  expect(open?.split(',')).toEqual(['netstack', 'wireguard-ctl', 'wireguard-fwd', 'wireguard-shard'])
  expect(closed).toBe('')
})

test('a device that was never closed ends with its process', { timeout: 20_000 }, async () => {
  expect(await program(`const device = await open(); console.log(device.backend); process.exit(0)`)).toBe('netstack')
})

test('an open device keeps the process alive until it is closed', { timeout: 20_000 }, async () => {
  const said = await program(`
    const device = await open()
    const started = performance.now()
    process.on('exit', () => console.log(performance.now() - started >= 90))
    setTimeout(() => device.close(), 100).unref()`)
  expect(said).toBe('true')
})

test('streams that are open when their device is closed hold nothing back', { timeout: 20_000 }, async () => {
  const said = await program(`
    for (const backend of ['netstack', 'auto']) {
      const device = await open(backend)
      const sockets = []
      const { port } = await device.listen({ port: 0 }, (socket) => sockets.push(socket.resume()))
      sockets.push(await device.dial({ address: '10.77.0.1', port }))
      sockets[0].write('x')
      await device.close()
      console.log(sockets.every((socket) => socket.destroyed))
    }`)
  expect(said).toBe('true\ntrue')
})
