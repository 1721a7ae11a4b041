// Watches a relay's API as an operator's program would, and says every event and answer as a line of JSON.
//   node test/e2e/programs/observe-relay.ts https://RELAY   (ROPEWALK_TOKEN in the environment)
// A line on stdin is a path to ask for.
import { request } from 'node:https'
import { createInterface } from 'node:readline'

const base = process.argv[2] ?? ''
const headers = { authorization: `Bearer ${process.env.ROPEWALK_TOKEN}` }
const tls = { rejectUnauthorized: false, agent: false } as const
let mark: string | undefined

const say = (line: object): boolean => process.stdout.write(`${JSON.stringify(line)}\n`)

function ask(path: string): void {
  const sent = request(`${base}${path}`, { ...tls, headers }, (response) => {
    let body = ''
    response.setEncoding('utf8').on('data', (text: string) => {
      body += text
    })
    const { statusCode, headers: answered } = response
    response.on('end', () => say({ kind: 'answer', path, statusCode, headers: answered, body }))
  })
  sent.on('error', (error) => say({ kind: 'answer', path, statusCode: 0, headers: {}, body: error.message }))
  sent.end()
}

function watch(): void {
  const again = { ...headers, ...(mark === undefined ? {} : { 'last-event-id': mark }) }
  const sent = request(`${base}/api/v1/topology/events`, { ...tls, headers: again }, (response) => {
    let text = ''
    response.setEncoding('utf8').on('data', (chunk: string) => {
      const blocks = (text + chunk).split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) take(block)
    })
    response.on('error', () => undefined)
    response.on('close', () => setTimeout(watch, 200))
  })
  sent.on('error', () => setTimeout(watch, 200))
  sent.end()
}

function take(block: string): void {
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1]
  mark = field('id') ?? mark
  const [event, data] = [field('event'), field('data')]
  if (event !== undefined && data !== undefined) say({ kind: 'event', event, data: JSON.parse(data) })
}

createInterface(process.stdin).on('line', ask)
watch()
