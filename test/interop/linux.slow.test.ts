import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { guestRefusal } from '../guest/index.ts'
import { iperf, ping, until } from '../lab/index.ts'
import { answers, type Hosts, INNER, makeHosts, makeLinuxPair } from './linux.ts'

const refusal = await guestRefusal()

/** REKEY_AFTER_TIME, and what a handshake may take on top of it beside a load. */
const REKEY_SECONDS = 120
const LOAD_SECONDS = 130
const BOOT_TIMEOUT_MS = 90_000
/** After 10 s without an answer and 5 s more (KEEPALIVE_TIMEOUT, REKEY_TIMEOUT) the other one tries a new handshake. */
const NOTICED_MS = 60_000

describe.skipIf(refusal !== null)("beside Linux's own WireGuard", () => {
  let hosts: Hosts
  beforeAll(async () => {
    hosts = await makeHosts()
  }, BOOT_TIMEOUT_MS)
  afterAll(() => hosts?.[Symbol.asyncDispose]())

  test.each(['ours', 'theirs'] as const)(
    'a session begun by %s is renewed after two minutes, and nothing is lost meanwhile',
    async (initiator) => {
      await using pair = await makeLinuxPair(hosts, { initiator })
      const [first, second] = initiator === 'ours' ? [pair.ours, pair.theirs] : [pair.theirs, pair.ours]
      await answers(first, second.address)
      const begun = performance.now()
      const [from, to] = [first.node, second.node]
      // A stream that takes what the slower one gives, and what every loss would show in.
      const load = iperf({ from, to, address: second.address, seconds: LOAD_SECONDS, rateMbit: 5 })
      const running = ping(from, second.address, { intervalMs: 100, count: (LOAD_SECONDS * 1000) / 100 })
      const { sent, lost } = await running.done
      expect({ sent, lost }).toEqual({ sent: (LOAD_SECONDS * 1000) / 100, lost: 0 })
      expect((await load).bytes).toBeGreaterThan(1e6)
      const seconds = (performance.now() - begun) / 1000
      for (const [end, other] of [[first, second] as const, [second, first] as const]) {
        expect(await end.handshakeAge(other.publicKey)).toBeLessThan(seconds - REKEY_SECONDS + 5)
      }
    },
    (LOAD_SECONDS + 90) * 1000,
  )

  test.each(['ours', 'theirs'] as const)(
    'when %s starts anew and says nothing, the other notices by itself',
    async (which) => {
      await using pair = await makeLinuxPair(hosts)
      await answers(pair.ours, INNER.theirs[0])
      const again = await pair.restart(which)
      const [one, address] = which === 'ours' ? [again.theirs, INNER.ours[0]] : [again.ours, INNER.theirs[0]]
      await until(NOTICED_MS, 'a new handshake', async () => {
        const { code } = await one.node.exec('ping', ['-c', '1', '-W', '1', address], { mayFail: true })
        return code === 0 ? true : null
      })
      await (which === 'ours' ? again.ours : again.theirs).stop()
    },
    NOTICED_MS * 2,
  )

  test.each(['ours', 'theirs'] as const)(
    '%s keeps the way open with a keepalive each second',
    async (keeper) => {
      await using pair = await makeLinuxPair(hosts, { keepaliveSeconds: { [keeper]: 1 } })
      await answers(pair.ours, INNER.theirs[0])
      // 32 bytes each: what comes by itself. The other end answers none of them.
      const heard = async () => {
        if (keeper === 'theirs') return (await pair.ours.bytes(pair.theirs.publicKey)).rxBytes
        const { stdout } = await pair.theirs.node.exec('wg', ['show', 'wg0', 'transfer'])
        return Number(stdout.split('\t')[1])
      }
      const before = await heard()
      await until(15_000, 'three keepalives', async () => ((await heard()) >= before + 3 * 32 ? true : null))
      expect(((await heard()) - before) % 32).toBe(0)
    },
    NOTICED_MS,
  )
})
