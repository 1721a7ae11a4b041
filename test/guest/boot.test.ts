import { describe, expect, test } from 'vitest'
import { until, up } from '../lab/index.ts'
import { guestRefusal, startGuest } from './index.ts'

const refusal = await guestRefusal()
if (refusal !== null) console.log(`SKIPPED: A GUEST IN THE PLACE OF A NODE (${refusal})`)

describe.skipIf(refusal !== null)('a guest in the place of a node', () => {
  test('boots, is reached at its addresses, says how its commands ended, and ends with its world', async () => {
    await using world = await up('two-hosts')
    const guest = await startGuest(world, 'b')
    const { stdout } = await guest.exec('uname', ['-r'])
    expect(stdout.trim()).toBe(guest.release)
    const words = ['-c', 'cat; echo "$1" "$2" >&2; exit 3', 'sh', "it's", '$HOME']
    const failed = await guest.exec('sh', words, { input: 'read; ', mayFail: true })
    expect(failed).toEqual({ code: 3, stdout: "read; it's $HOME\n", stderr: '' })
    await expect(guest.exec('sh', words)).rejects.toThrow('ended with 3 in the guest')
    for (const address of guest.addresses) await world.node('a').exec('ping', ['-c', '1', '-W', '5', address])
    const running = guest.spawn('sleep', ['60'])
    await until(10_000, 'a job', async () => (/sleep 60/.test((await guest.exec('ps', [])).stdout) ? true : null))
    expect(await running.stop()).toEqual({ code: 143, signal: null })
    await world.down()
    expect((await guest.machine.ended).code).not.toBe(0)
  }, 120_000)
})
