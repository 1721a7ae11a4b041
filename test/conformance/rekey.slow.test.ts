import { expect, test } from 'vitest'
import { iperf } from '../lab/index.ts'
import { comesUp, INNER, makeStockPair } from './pair.ts'

/** REKEY_AFTER_TIME, and what a handshake may take on top of it. */
const REKEY_SECONDS = 120
const SECONDS = 130
/** Well below what any machine moves, and what waits in a receiver that has no turn for a tenth of a second finds room:
 *  what is lost then is lost by the change of keys. */
const RATE_MBIT = 10
const BUFFER_BYTES = 400_000

test('keys are renewed under load in both directions, and not one packet is lost', async () => {
  await using pair = await makeStockPair()
  const { a, b } = pair
  await comesUp(a.node, INNER.b.v4)
  const [before] = await a.of(b, 'latest-handshakes')
  const load = { seconds: SECONDS, udpBytes: 1200, rateMbit: RATE_MBIT, bufferBytes: BUFFER_BYTES }
  const flow = { address: INNER.b.v4, from: a.node, to: b.node, ...load }
  const [there, back] = await Promise.all([iperf(flow), iperf({ ...flow, port: 5202, reverse: true })])
  expect([there.lostShare, back.lostShare]).toEqual([0, 0])
  const [after] = await a.of(b, 'latest-handshakes')
  expect(Number(after) - Number(before)).toBeGreaterThanOrEqual(REKEY_SECONDS - 1)
}, 200_000)
