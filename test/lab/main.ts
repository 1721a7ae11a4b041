// node test/lab/main.ts: a world out of network namespaces to play in.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { LabError } from './error.ts'
import { endKept, enterKept, keep, keptWorld, keptWorlds, startKeeper } from './kept.ts'
import { worlds } from './worlds/index.ts'

const USAGE = `usage: node test/lab/main.ts up WORLD | run WORLD NODE -- CMD [ARGS] | down WORLD | list

worlds:
${worlds.map(({ name, about }) => `  ${name.padEnd(14)} ${about}`).join('\n')}`

/** An ordinary user's worlds are in a user namespace. The keeper of one is root inside it, and is told so. */
const IN_USER_NAMESPACE = 'ROPEWALK_LAB_IN_USER_NAMESPACE'

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof LabError)) throw error
  console.error(`lab: ${error.message}`)
  process.exitCode = 1
}

async function main([verb, name = '', ...rest]: string[]): Promise<number> {
  const isRoot = process.getuid?.() === 0
  if (verb === 'up' && rest.length === 0) {
    if (!isRoot) process.env[IN_USER_NAMESPACE] = '1'
    if (!worlds.some((world) => world.name === name)) return wrong(`no world is called ${name}`)
    const world = await startKeeper(import.meta.filename, name, !isRoot)
    for (const node of world.nodes) console.log(`${node.name.padEnd(14)} ${node.addresses.join('  ')}`)
    return 0
  }
  if (verb === 'keep') {
    await keep(name, process.env[IN_USER_NAMESPACE] === '1')
    return 0
  }
  if (verb === 'run' && rest.length >= 2) {
    const [node = '', ...words] = rest
    return run(enterKept(await keptWorld(name), node, process.cwd()), words[0] === '--' ? words.slice(1) : words)
  }
  if (verb === 'down' && rest.length === 0) {
    await endKept(await keptWorld(name))
    return 0
  }
  if (verb === 'list' && name === '') {
    const running = await keptWorlds()
    for (const { name, about } of worlds) {
      const found = running.find((world) => world.name === name)
      console.log(`${name.padEnd(14)} ${found === undefined ? '-       ' : `up ${found.pid}`.padEnd(8)} ${about}`)
    }
    return 0
  }
  return wrong(verb === undefined ? 'nothing was asked' : `not understood: ${process.argv.slice(2).join(' ')}`)
}

function wrong(sentence: string): number {
  console.error(`lab: ${sentence}\n${USAGE}`)
  return 2
}

/** In the foreground, on our terminal; its status is ours. */
function run(entering: readonly string[], words: readonly string[]): Promise<number> {
  const [command = '', ...args] = [...entering, ...words]
  return new Promise((done, failed) => {
    const child = spawn(command, args, { stdio: 'inherit' })
    // A terminal's Ctrl-C reaches the command by itself; we stay for its status.
    process.on('SIGINT', () => {})
    process.on('SIGTERM', () => child.kill('SIGTERM'))
    child.once('error', (error) => failed(new LabError(error.message)))
    child.once('exit', (code, signal) => done(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
  })
}
