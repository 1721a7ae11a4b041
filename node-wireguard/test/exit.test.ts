import { describe, expect, test } from 'vitest'
import { FACE, program } from './program.ts'

describe('a process', { timeout: 20_000 }, () => {
  test('ends by itself once all is closed: every thread is joined, every descriptor closed', async () => {
    const said = await program(`
      const before = descriptors()
      const device = await rootless()
      const forwarder = await Forwarder.open({ listen: [{ address: '127.0.0.1', port: 0 }] })
      await device.listen({ port: 80 }, () => {})
      await device.listenUdp({ address: '0.0.0.0', port: 53 })
      const splicer = new Splicer()
      console.log(await threadsOnce('netstack,wireguard-ctl,wireguard-fwd,wireguard-joint,wireguard-shard'))
      await Promise.all([device.close(), forwarder.close(), splicer.close()])
      console.log(threads() || 'none')
      console.log(descriptors() - before)`)
    expect(said).toEqual(['netstack,wireguard-ctl,wireguard-fwd,wireguard-joint,wireguard-shard', 'none', '0'])
  })

  test('ends when it wants to, with a device that was never closed', async () => {
    expect(await program(`console.log((await rootless()).backend); process.exit(0)`)).toEqual(['netstack'])
  })

  test('is kept alive by an open device until it is closed', async () => {
    const said = await program(`
      const device = await rootless()
      const started = performance.now()
      process.on('exit', () => console.log(performance.now() - started >= 90))
      setTimeout(() => device.close(), 100).unref()`)
    expect(said).toEqual(['true'])
  })

  test('is not kept alive by streams whose device is closed', async () => {
    const said = await program(`
      for (const backend of ['netstack', 'auto']) {
        const device = await rootless(backend)
        const sockets = []
        const { port } = await device.listen({ port: 0 }, (socket) => sockets.push(socket.resume()))
        sockets.push(await device.dial({ address: '10.77.0.1', port }))
        sockets[0].write('x')
        await device.close()
        console.log(sockets.every((socket) => socket.destroyed))
      }`)
    expect(said).toEqual(['true', 'true'])
  })

  test('survives a worker that is terminated with a device open', async () => {
    const said = await program(`
      const { once } = await import('node:events')
      const { Worker } = await import('node:worker_threads')
      const body = \`
        import { parentPort } from 'node:worker_threads'
        import { Device, generatePrivateKey } from ${FACE}
        const listen = [{ address: '127.0.0.1', port: 0 }]
        const device = await Device.open({ privateKey: generatePrivateKey(), listen, interface: { rootless: { addresses: ['10.77.0.1/24'], backend: 'netstack' } } })
        device.ping('10.77.0.2').catch(() => {})
        parentPort.postMessage(device.backend)\`
      const worker = new Worker(body, { eval: true, execArgv: ['--input-type=module'] })
      console.log(...await once(worker, 'message'))
      await worker.terminate()
      console.log(threads() || 'none')`)
    expect(said).toEqual(['netstack', 'none'])
  })
})
