import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { program } from './program.ts'

/** A network namespace of its own, in which this user is root: nothing of this machine is touched. */
const NAMESPACE = ['unshare', '-Urn']

const forbidden = () => {
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun'
  return spawnSync('unshare', ['-Urn', 'true']).status === 0 ? undefined : 'user namespaces are forbidden'
}
const reason = forbidden()
if (reason !== undefined) console.warn(`SKIPPED: 2 tests of the TUN device, because ${reason}`)

describe.skipIf(reason !== undefined)('a device with a TUN', { timeout: 20_000 }, () => {
  test('is an interface of this machine while it is open, and dials nothing itself', async () => {
    const said = await program(
      `
      const { networkInterfaces } = await import('node:os')
      const device = await open({ tun: { name: 'rope7', mtu: 1380, addresses: ['10.77.0.1/24', 'fd77::1/64'] } })
      console.log(device.backend, device.status().mtu)
      console.log(networkInterfaces().rope7.map(({ cidr }) => cidr).sort().slice(0, 2).join())
      for (const call of [() => device.dial({ address: '10.77.0.2', port: 1 }), () => device.listen({ port: 1 }, () => {}),
        () => device.ping('10.77.0.2')]) await call().catch(({ code }) => console.log(code))
      await device.close()
      console.log(networkInterfaces().rope7 === undefined)`,
      NAMESPACE,
    )
    const refused = 'ERR_WIREGUARD_NOT_ROOTLESS'
    expect(said).toEqual(['tun 1380', '10.77.0.1/24,fd77::1/64', refused, refused, refused, 'true'])
  })

  test('needs the right to make one, and says what to do without it', async () => {
    const body = `await open({ tun: { name: 'rope7', addresses: ['10.77.0.1/24'] } }).catch(({ code, hint }) => console.log(code, hint))`
    const [said] = await program(body, ['unshare', '-U'])
    expect(said).toMatch(/^ERR_WIREGUARD_PERMISSION .*rootless/)
  })
})
