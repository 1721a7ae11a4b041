// Every npm script starts here: makes sure that packages, engine and system are as the checkout wants them, then runs
// SCRIPT on the project's own Node. Plain JavaScript without dependencies: it must run on Node 18 in a fresh clone.
//   node setup/run.mjs SCRIPT [ARGS]
// Talk goes to stderr; stdout belongs to SCRIPT alone.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { ensureEngine } from './engine.mjs'
import { ensureNodeModules, projectNode } from './node-modules.mjs'
import { root, SetupError, say } from './say.mjs'
import { ensureSystemPackages } from './system-packages.mjs'

/** Scripts that never load the engine, so that its sources may be newer than what is built. */
const WITHOUT_ENGINE = ['setup/check.ts', 'test/lab/main.ts']

try {
  process.exitCode = await main(process.argv[2], process.argv.slice(3))
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  say(error.message)
  if (error.hint) say(`try: ${error.hint}`)
  process.exitCode = error.exitCode
}

async function main(script, args) {
  if (script === undefined) throw new SetupError('no script was named', 'node setup/run.mjs SCRIPT [ARGS]', 2)
  const path = resolve(root, script)
  if (!existsSync(path)) throw new SetupError(`${script} is not in this checkout`, 'git status', 2)
  // The user's own Rust and Debian's sbin are often missing from PATH in cron jobs, containers and sudo.
  extendPath([join(homedir(), '.cargo', 'bin'), '/usr/local/sbin', '/usr/sbin', '/sbin'])
  await ensureSystemPackages(script)
  const installed = ensureNodeModules()
  if (!WITHOUT_ENGINE.includes(script)) ensureEngine(installed)
  const node = projectNode()
  process.env.PATH = join(root, 'node_modules', '.bin') + delimiter + process.env.PATH
  return run(node, [path, ...args])
}

function extendPath(folders) {
  const known = (process.env.PATH ?? '').split(delimiter)
  process.env.PATH = [...known, ...folders.filter((folder) => !known.includes(folder))].join(delimiter)
}

/** Runs to the end; passes signals down and the exit status up. */
function run(command, args) {
  return new Promise((done, failed) => {
    const child = spawn(command, args, { stdio: 'inherit' })
    const pass = (signal) => {
      // A terminal gives Ctrl-C to the whole foreground group: the child has it already, twice would mean "at once".
      if (signal === 'SIGINT' && process.stdin.isTTY) return
      child.kill(signal)
    }
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']
    for (const signal of signals) process.on(signal, pass)
    child.on('error', failed)
    child.on('exit', (code, signal) => {
      for (const name of signals) process.removeListener(name, pass)
      if (signal !== null) process.kill(process.pid, signal)
      else done(code)
    })
  })
}
