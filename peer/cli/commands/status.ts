import { setTimeout as sleep } from 'node:timers/promises'
import type { Status } from '@ropewalk/shared/api'
import { isRopewalkError, RopewalkError } from '@ropewalk/shared/errors'
import type { Invocation } from '../invocation.ts'
import type { CommandSpec } from '../program.ts'
import { millisText, secondsText } from '../text.ts'

const WAIT_MS = 60_000
const POLL_MS = 100
const WATCH_MS = 1_000

export const status: CommandSpec = {
  build: (command, run) =>
    command
      .option('--wait', 'return when the peer is ready: it runs, and a relay is connected if there is one')
      .option('--watch', 'print again each second until Ctrl-C')
      .action((options: { wait?: true; watch?: true }) =>
        run(async (cli) => {
          let current = options.wait ? await waitUntilReady(cli) : await (await cli.peer()).api.status()
          cli.print(current, () => statusText(cli, current))
          while (options.watch && !cli.io.signal.aborted) {
            await sleep(WATCH_MS, undefined, { signal: cli.io.signal }).catch(() => {})
            if (cli.io.signal.aborted) return
            current = await (await cli.peer()).api.status()
            if (cli.io.stdout.isTTY && !cli.json) cli.io.stdout.write('\x1b[H\x1b[2J')
            cli.print(current, () => statusText(cli, current))
          }
        }),
      ),
}

async function waitUntilReady(cli: Invocation): Promise<Status> {
  const deadline = performance.now() + (cli.timeoutMs ?? WAIT_MS)
  let why = 'no peer runs here'
  while (performance.now() < deadline) {
    cli.io.signal.throwIfAborted()
    try {
      const current = await (await cli.peer()).api.status()
      if (current.relays.length === 0 || current.relays.some(({ state }) => state === 'connected')) return current
      why = `no relay is connected (${current.relays.map(({ url }) => url).join(', ')})`
    } catch (error) {
      const early = isRopewalkError(error, 'not-running') || isRopewalkError(error, 'unreachable')
      if (!early && !isRopewalkError(error, 'timeout')) throw error
    }
    await sleep(POLL_MS, undefined, { signal: cli.io.signal })
  }
  throw new RopewalkError('timeout', `The peer is not ready: ${why}`, { hint: 'ropewalk doctor' })
}

function statusText(cli: Invocation, { self, relays, peers, warnings }: Status): string {
  const lines = [
    `${self.name} in network ${self.network}, up ${secondsText(self.uptimeSeconds)}, ${self.mode} mode`,
    `addresses ${self.addresses.join(', ')}`,
    `peers ${peers.online} of ${peers.known} online, ${peers.direct} direct, ${peers.relayed} relayed`,
    '',
  ]
  const table = cli.table(
    ['RELAY', 'STATE', 'RTT', 'URL'],
    relays.map((relay) => [relay.name, relay.state, millisText(relay.rttMs), relay.url]),
  )
  const warned = warnings.map(({ code, message, hint }) => `warning: ${message} [${code}]\n  try: ${hint}\n`)
  return `${lines.join('\n')}${table}${warned.join('')}`
}
