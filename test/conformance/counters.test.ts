import { expect, test } from 'vitest'
import { flood, INNER, makeStockPair } from './pair.ts'

// Sizes on the wire in bytes (WireGuard paper, section 5.4): both handshake messages, and what a data message adds.
const INITIATION = 148
const RESPONSE = 92
const DATA_OVERHEAD = 32
/** A ping as it comes: 84 bytes, padded to a multiple of 16. */
const PING = 96 + DATA_OVERHEAD
const COUNT = 10

test('ten pings and a handshake are counted to the byte at both ends, and the handshake has a time', async () => {
  await using pair = await makeStockPair()
  const begun = Math.floor(Date.now() / 1000)
  await flood(pair.b.node, INNER.a.v4, COUNT)
  const [initiator, responder] = [await pair.b.transfer(pair.a), await pair.a.transfer(pair.b)]
  expect(initiator.received).toBe(RESPONSE + COUNT * PING)
  // An empty message that confirms the session is the initiator's right.
  const sent = INITIATION + COUNT * PING
  expect([sent, sent + DATA_OVERHEAD]).toContain(initiator.sent)
  expect(responder).toEqual({ received: initiator.sent, sent: initiator.received })
  for (const [end, other] of [[pair.a, pair.b] as const, [pair.b, pair.a] as const]) {
    const [at] = await end.of(other, 'latest-handshakes')
    expect(Number(at)).toBeGreaterThanOrEqual(begun)
    expect(Number(at)).toBeLessThanOrEqual(Date.now() / 1000)
  }
})

test('the interface counts what is inside, and the wire carries what wg says', async () => {
  await using pair = await makeStockPair()
  const table = 'add table inet count; add chain inet count out { type filter hook output priority 0; }'
  await pair.b.node.exec('nft', [`${table}; add rule inet count out udp sport 2222 counter`])
  const before = (await pair.b.node.counters()).wg0
  await flood(pair.b.node, INNER.a.v4, COUNT)
  const after = (await pair.b.node.counters()).wg0
  expect((after?.rxBytes ?? 0) - (before?.rxBytes ?? 0)).toBe(COUNT * 84)
  const { stdout } = await pair.b.node.exec('nft', ['-j', 'list', 'chain', 'inet', 'count', 'out'])
  const { packets, bytes } = onlyCounter(stdout)
  const { sent } = await pair.b.transfer(pair.a)
  expect(bytes).toBe(sent + packets * 28)
})

interface Listed {
  readonly nftables: readonly { readonly rule?: { readonly expr: readonly { readonly counter?: Count }[] } }[]
}

interface Count {
  readonly packets: number
  readonly bytes: number
}

function onlyCounter(json: string): Count {
  const rules = (JSON.parse(json) as Listed).nftables.flatMap(({ rule }) => rule?.expr ?? [])
  const found = rules.find(({ counter }) => counter !== undefined)?.counter
  if (found === undefined) throw new Error(`no counter in ${json}`)
  return found
}
