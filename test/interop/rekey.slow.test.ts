import { describe, expect, test } from 'vitest'
import { ping } from '../lab/index.ts'
import { wireguardGo, wireguardGoDebian } from '../wireguard/index.ts'
import { answers, makePair } from './pair.ts'

/** REKEY_AFTER_TIME, and what a handshake may take on top of it. */
const REKEY_SECONDS = 120
const REKEY_AND_SOME_SECONDS = 130
const INTERVAL_MS = 100

const rivals = [await wireguardGo(), await wireguardGoDebian()]

describe('a session is renewed after two minutes', () => {
  test.concurrent.each(
    rivals.flatMap((rival) =>
      (['ours', 'theirs'] as const).map((initiator) => [rival.name, initiator, rival] as const),
    ),
  )(
    'with %s, begun by %s, and nothing is lost meanwhile',
    async (_, initiator, rival) => {
      const begun = performance.now()
      await using pair = await makePair(rival, { initiator })
      const [first, second] = initiator === 'ours' ? [pair.ours, pair.theirs] : [pair.theirs, pair.ours]
      await answers(first, second)
      const running = ping(first.node, second.address, {
        intervalMs: INTERVAL_MS,
        count: (REKEY_AND_SOME_SECONDS * 1000) / INTERVAL_MS,
      })
      const { lost, sent } = await running.done
      expect({ sent, lost }).toEqual({ sent: (REKEY_AND_SOME_SECONDS * 1000) / INTERVAL_MS, lost: 0 })
      const seconds = (performance.now() - begun) / 1000
      for (const [end, other] of [[first, second] as const, [second, first] as const]) {
        expect(await end.handshakeAge(other.publicKey)).toBeLessThan(seconds - REKEY_SECONDS + 5)
      }
    },
    (REKEY_AND_SOME_SECONDS + 60) * 1000,
  )
})
