import { randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  type RequestOptions,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { type Startable, startable } from '@ropewalk/shared/lifecycle'
import type { Logger } from '@ropewalk/shared/logger'
import { keepAliveTo } from './head-connections.ts'
import { answerHeaders, questionHeaders } from './headers.ts'

const KEY_BYTES = 24
const ANSWER_TIMEOUT_MS = 60_000

export interface DashboardDoorOptions {
  /** Of this machine's loopback; 0 for any. */
  readonly port: number
  readonly dashboardPort: number
  /** The cluster's: added to what the browser asks, and never shown to it. */
  readonly token: string
}

export interface DashboardDoorDependencies {
  /** Opens a connection to a port of the cluster's head. */
  readonly dial: (port: number, signal: AbortSignal) => Promise<Socket>
  readonly logger: Logger
}

/** A cluster's dashboard at a port of 127.0.0.1, for one user's browser, for as long as it runs. */
export interface DashboardDoor extends Startable {
  /** Whoever has it may look, so it is a secret: its path is made anew for each door. */
  readonly url: string
}

/**
 * Listens when started. Other users of the machine, and web pages in the same browser, reach the port but not the path;
 * a name that was turned to 127.0.0.1 (DNS rebinding) is refused by its Host. Cookies would not do: browsers send them to
 * all ports of a host. Only what looks passes (GET, HEAD), which is what Ray lets browsers do.
 *
 * @throws RopewalkError `address-in-use` from `start`
 */
export function createDashboardDoor(
  options: DashboardDoorOptions,
  { dial, logger }: DashboardDoorDependencies,
): DashboardDoor {
  const key = randomBytes(KEY_BYTES).toString('base64url')
  const agent = keepAliveTo((signal) => dial(options.dashboardPort, signal))
  let port = options.port

  const refusal = (asked: IncomingMessage): [number, string] | undefined => {
    if (![`127.0.0.1:${port}`, `localhost:${port}`].includes(asked.headers.host ?? ''))
      return [421, 'This is reached by the address that ropewalk printed, and by no other name.']
    if (!sameText(asked.url?.split(/[/?]/)[1] ?? '', key))
      return [404, 'There is nothing here. The whole address is printed by: ropewalk cluster open dashboard']
    if (asked.method !== 'GET' && asked.method !== 'HEAD') return [405, 'This dashboard is for looking.']
    return undefined
  }
  const answer = async (asked: IncomingMessage, answered: ServerResponse): Promise<void> => {
    const no = refusal(asked)
    if (no !== undefined) return say(answered, ...no)
    const path = (asked.url ?? '').slice(1 + key.length)
    if (!path.startsWith('/')) return void answered.writeHead(308, { location: `/${key}/` }).end()
    const gone = new AbortController()
    answered.once('close', () => gone.abort())
    const question = {
      agent,
      path,
      method: asked.method,
      headers: questionHeaders(asked.headers, options.token),
      timeout: ANSWER_TIMEOUT_MS,
      signal: gone.signal,
    }
    const response = await ask(question)
    answered.writeHead(response.statusCode ?? 502, answerHeaders(response.headers, `/${key}`))
    await pipeline(response, answered)
  }
  const server: Server = createServer((asked, answered) => {
    answer(asked, answered).catch((cause: unknown) => {
      const error = toRopewalkError(cause)
      if (!answered.destroyed) logger.info('the dashboard did not answer', { reason: error.message })
      if (answered.headersSent) answered.destroy()
      else say(answered, 502, `The cluster's head does not answer: ${error.message}`)
    })
  })
  const life = startable({
    async start() {
      server.listen({ host: '127.0.0.1', port })
      await once(server, 'listening').catch((cause: unknown) => {
        throw new RopewalkError(toRopewalkError(cause).code, `Port ${port} of this machine cannot be had`, {
          cause,
          hint: 'choose another by --port',
        })
      })
      const address = server.address()
      if (typeof address === 'object' && address !== null) port = address.port
    },
    stop() {
      server.close()
      server.closeAllConnections()
      agent.destroy()
    },
  })
  return {
    get url() {
      return `http://127.0.0.1:${port}/${key}/`
    },
    start: (given) => life.start(given),
    stop: () => life.stop(),
    [Symbol.asyncDispose]: () => life.stop(),
  }
}

/** A connection that was kept may be closed just then: that is no answer yet, and asking twice is harmless. */
async function ask(question: RequestOptions, again = true): Promise<IncomingMessage> {
  const sent = request(question)
  sent.once('timeout', () => sent.destroy(new RopewalkError('timeout')))
  sent.end()
  try {
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    return response
  } catch (error) {
    if (!sent.reusedSocket || !again || question.signal?.aborted === true) throw error
    return await ask(question, false)
  }
}

function say(answered: ServerResponse, status: number, sentence: string): void {
  answered.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' })
  answered.end(`${sentence}\n`)
}

function sameText(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)]
  return a.length === b.length && timingSafeEqual(a, b)
}
