import { join } from 'node:path'
import { awaitGo, dialData, dialRelay } from '@ropewalk/peer/tunnels'
import { parseRelayUrl } from '@ropewalk/shared/tunnel'
import type { Flow } from './tunnel-load.ts'
import { keyOf, membersOf, type TunnelPlan, type TunnelRole } from './tunnel-members.ts'
import { readyLine, startProgram } from './tunnel-process.ts'
import type { Way } from './tunnel-rivals.ts'

const PROGRAM = join(import.meta.dirname, 'programs', 'tunnel-end.ts')
const NOBODY: TunnelPlan = { relayPort: 0, targetPort: 0 }

/** One process of a tunnel; its port once it is ready. */
async function startEnd(role: TunnelRole, plan: TunnelPlan): Promise<Way> {
  const program = startProgram(process.execPath, [PROGRAM, role, JSON.stringify(plan)])
  try {
    const { port } = JSON.parse(await readyLine(program)) as { port: number }
    return { port, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() }
  } catch (error) {
    await program[Symbol.asyncDispose]()
    throw error
  }
}

/** Visitor, relay and agent, each a process of its own, before a sink: encrypted between the first and the last. */
export async function startEndToEnd(targetPort: number): Promise<Way> {
  await using stack = new AsyncDisposableStack()
  const relay = stack.use(await startEnd('relay', NOBODY))
  const plan = { relayPort: relay.port, targetPort }
  stack.use(await startEnd('agent', plan))
  const { port } = stack.use(await startEnd('visitor', plan))
  const all = stack.move()
  return { port, [Symbol.asyncDispose]: () => all.disposeAsync() }
}

/** The relay alone: two raw connections that it has joined. */
export async function startRelayAlone(): Promise<{ readonly flow: Flow } & AsyncDisposable> {
  await using stack = new AsyncDisposableStack()
  const { port } = stack.use(await startEnd('relay', NOBODY))
  const signal = AbortSignal.timeout(20_000)
  const relay = parseRelayUrl(`https://127.0.0.1:${port}/`, keyOf('relay').nodeId)
  const link = (role: 'agent' | 'visitor') =>
    dialRelay({ relay, role, signal }, { key: keyOf(role), members: membersOf(role) })
  const agent = await link('agent')
  const called = new Promise<Uint8Array>((resolve) => {
    agent.channel.listen({ message: (message) => message.kind === 'open' && resolve(message.stream) })
  })
  agent.channel.send({ kind: 'register', maxStreams: 1 })
  const visitor = await link('visitor')
  visitor.channel.listen({ message: () => undefined })
  const stream = visitor.nextStream()
  visitor.channel.send({ kind: 'open', stream, peer: keyOf('agent').nodeId })
  const from = await dialData({ relay, hello: { kind: 'visit', stream }, dataKey: visitor.dataKey, signal })
  const hello = { kind: 'called' as const, stream: await called }
  const to = await dialData({ relay, hello, dataKey: agent.dataKey, signal })
  await Promise.all([awaitGo(from, signal), awaitGo(to, signal)])
  for (const end of [from, to]) end.removeAllListeners('readable').pause()
  const all = stack.move()
  return { flow: { from, to }, [Symbol.asyncDispose]: () => all.disposeAsync() }
}
