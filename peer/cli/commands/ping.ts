import { setTimeout as sleep } from 'node:timers/promises'
import { isRopewalkError, RopewalkError } from '@ropewalk/shared/errors'
import type { CommandSpec } from '../program.ts'

const TIMEOUT_MS = 5_000
const INTERVAL_MS = 1_000

interface Reply {
  readonly sequence: number
  readonly rttMs: number
  readonly path: string
}

export const ping: CommandSpec = {
  build: (command, run) =>
    command
      .argument('<peer>', 'name, node id or mesh address')
      .option('-c, --count <n>', 'how many', '4')
      .option('-i, --interval <seconds>', 'time between two', '1')
      .action((peer: string, options: { count: string; interval: string }) =>
        run(async (cli) => {
          const count = wholeNumber(options.count, 'count', 1_000_000)
          const intervalMs = Number(options.interval) * INTERVAL_MS
          if (!(intervalMs >= 0)) throw new RopewalkError('bad-usage', `“${options.interval}” is no number of seconds`)
          const { api } = await cli.peer()
          const replies: Reply[] = []
          let [sent, name, address] = [0, peer, '']
          while (sent < count && !cli.io.signal.aborted) {
            if (sent > 0) await sleep(intervalMs, undefined, { signal: cli.io.signal }).catch(() => {})
            if (cli.io.signal.aborted) break
            sent += 1
            const timeoutMs = cli.timeoutMs ?? TIMEOUT_MS
            try {
              const answer = await api.ping({ body: { peer, timeoutMs } }, { timeoutMs: timeoutMs + 2_000 })
              ;[name, address] = [answer.peer, answer.address]
              replies.push({ sequence: sent, rttMs: answer.rttMs, path: answer.path })
              if (!cli.json)
                cli.io.stdout.write(`${name} (${address}): ${answer.rttMs.toFixed(2)} ms via ${answer.path}\n`)
            } catch (error) {
              if (!isRopewalkError(error) || (error.code !== 'timeout' && error.code !== 'no-path')) throw error
              if (!cli.json) cli.io.stdout.write(`${name}: no answer to echo ${sent}\n`)
            }
          }
          const lost = sent - replies.length
          cli.print(
            { version: 1, peer: name, address, sent, received: replies.length, replies },
            () =>
              `${sent} sent, ${replies.length} answered, ${sent === 0 ? 0 : Math.round((lost / sent) * 100)} % lost\n`,
          )
          if (replies.length > 0) return
          throw new RopewalkError('timeout', `${name} did not answer`, { hint: `ropewalk paths ${name}` })
        }),
      ),
}

function wholeNumber(text: string, what: string, most: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new RopewalkError('bad-usage', `The ${what} is a whole number from 1 to ${most}, not “${text}”`)
}
