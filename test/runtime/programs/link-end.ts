// One end of a link whose speed a test measures, as a whole peer: `node link-end.ts answer|measure STATE [TICKET]`. The one
// lets members measure and says its node id, the other measures each time a line comes, and prints a line of JSON.
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { createLogger } from '@ropewalk/shared/logger'
import { createPeer } from '../../../peer/index.ts'
import { measureLink } from '../../../peer/runtime/devices/index.ts'

const [what, stateFolder = '', ticket] = process.argv.slice(2)
const logger = createLogger({ level: 'info', destination: process.stderr })
// the measurements of a test follow each other at once
const GIB = 1_024 ** 3
const speed = { measurementMs: 10_000, pauseMs: 0, measurementBytes: GIB, minuteBytes: 100 * GIB }
const runtime = { folder: `${stateFolder}/runtime`, maxLeaseMs: 60_000, speed }
const options = { stateFolder, ticket, rootless: true, listenPort: 4100, tunName: 'rope0', expose: [], doors: [] }
await using peer = createPeer({ ...options, names: 'off', runtime }, { logger, shutdown: () => {} })
await peer.start()
const { discovery } = peer.rooms
if (what === 'answer') {
  console.log(`answering, node ${discovery.self.nodeId}`)
  await once(process, 'SIGTERM')
} else {
  console.log('ready')
  for await (const _line of createInterface({ input: process.stdin })) {
    const link = await measureLink(discovery, logger).catch((error: unknown) => ({ error: String(error) }))
    console.log(JSON.stringify(link))
  }
}
