import { once } from 'node:events'
import { type IncomingMessage, type RequestOptions, request } from 'node:http'
import { deltaSchema, snapshotSchema } from '@ropewalk/shared/topology'

/** One server-sent event. */
export interface SentEvent {
  readonly id: string | undefined
  readonly event: string
  readonly data: string
}

/** Reads server-sent events for tests. */
export class EventReader {
  readonly response: IncomingMessage
  readonly #waiting: (() => void)[] = []
  readonly #events: SentEvent[] = []
  /** Comments: signs of life. */
  comments = 0
  #text = ''
  #ended = false

  constructor(response: IncomingMessage) {
    this.response = response
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => this.#take(chunk))
    response.on('error', () => undefined)
    response.on('close', () => {
      this.#ended = true
      this.#wake()
    })
  }

  static async open(port: number, headers: Record<string, string>): Promise<EventReader> {
    return await EventReader.at({ port, host: '127.0.0.1', path: '/api/v1/topology/events', headers })
  }

  static async at(asked: RequestOptions): Promise<EventReader> {
    const sent = request({ ...asked, agent: false })
    sent.end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    return new EventReader(response)
  }

  /** The next event; `undefined` when the stream has ended. */
  async next(): Promise<SentEvent | undefined> {
    while (this.#events.length === 0 && !this.#ended) await new Promise<void>((wake) => this.#waiting.push(wake))
    return this.#events.shift()
  }

  async snapshot() {
    const event = await this.next()
    if (event?.event !== 'snapshot') throw new Error(`not a snapshot: ${event?.event}`)
    return { id: event.id ?? '', snapshot: snapshotSchema.parse(JSON.parse(event.data)) }
  }

  async delta() {
    const event = await this.next()
    if (event?.event !== 'delta') throw new Error(`not a delta: ${event?.event}`)
    return { id: event.id ?? '', delta: deltaSchema.parse(JSON.parse(event.data)) }
  }

  close(): void {
    this.response.destroy()
  }

  #take(chunk: string): void {
    this.#text += chunk
    for (let end = this.#text.indexOf('\n\n'); end >= 0; end = this.#text.indexOf('\n\n')) {
      this.#block(this.#text.slice(0, end))
      this.#text = this.#text.slice(end + 2)
    }
    this.#wake()
  }

  #block(block: string): void {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1]
    const [event, data] = [field('event'), field('data')]
    if (event !== undefined && data !== undefined) this.#events.push({ id: field('id'), event, data })
    else if (block.startsWith(':')) this.comments += 1
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }
}
