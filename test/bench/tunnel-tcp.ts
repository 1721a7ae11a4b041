import type { Absent, Bench, Entrant, Round } from './bench.ts'
import { openSink, pump } from './tunnel-load.ts'
import { startEndToEnd, startRelayAlone } from './tunnel-ours.ts'
import { haproxy, rathole, startHaproxy, startRathole, type Way } from './tunnel-rivals.ts'

const SECONDS = 3
const RELAY = 'relay'
const END_TO_END = 'end-to-end'

async function through(start: ((sink: number) => Promise<Way>) | null): Promise<number> {
  await using sink = await openSink()
  if (start === null) return await pump(await sink.reach(sink.port), SECONDS)
  await using way = await start(sink.port)
  for (let attempt = 0; ; attempt += 1) {
    try {
      // a program may listen before the way behind it is there, or not listen yet
      return await pump(await sink.reach(way.port), SECONDS)
    } catch (error) {
      if (attempt >= 40) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

async function ours(): Promise<Round> {
  await using relay = await startRelayAlone()
  const alone = await pump(relay.flow, SECONDS)
  return { [RELAY]: { value: alone }, [END_TO_END]: { value: await through(startEndToEnd) } }
}

async function raw(): Promise<Round> {
  const value = await through(null)
  return { [RELAY]: { value }, [END_TO_END]: { value } }
}

async function entrants(): Promise<(Entrant | Absent)[]> {
  const [proxy, hole] = await Promise.all([haproxy(), rathole()])
  const rival = (found: typeof proxy, name: string, start: (program: string, sink: number) => Promise<Way>) =>
    'missing' in found
      ? found
      : {
          name: found.name,
          version: found.version,
          measure: async () => ({ [name]: { value: await through((sink) => start(found.program, sink)) } }),
        }
  return [
    { name: 'raw', version: '', measure: raw },
    { name: 'ours', version: '', measure: ours },
    rival(proxy, RELAY, startHaproxy),
    rival(hole, END_TO_END, startRathole),
  ]
}

/** TCP through a relay on loopback, everything on this machine's cores. */
export const tunnelTcp: Bench = {
  name: 'tunnel-tcp',
  about: 'TCP through a relay: the relay alone beside HAProxy, peer to peer beside rathole with noise',
  unit: 'Gbit/s',
  cases: [RELAY, END_TO_END],
  notes: [
    `one flow over loopback, ${SECONDS} s a run, what arrived; dd at both ends for everybody; all as they come`,
    `${RELAY}: two raw connections joined, nothing encrypted; haproxy in TCP mode`,
    `${END_TO_END}: ours is encrypted from the visitor’s process to the worker’s, three processes; rathole from its server to its client, two`,
  ],
  entrants,
}
