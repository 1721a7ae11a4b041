// node_modules as package-lock.json wants it, by `npm ci`; and the project's own Node in it.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, SetupError, say } from './say.mjs'

const OLDEST_NODE = 24

/** Installs when what is there differs from the lockfile. Returns whether it installed. */
export function ensureNodeModules() {
  const difference = findDifference()
  if (difference === null) return false
  say(`${difference}: installing packages and building the engine (a few minutes the first time)`)
  const started = Date.now()
  // npm names itself in the environment of its scripts; outside of them it is looked for in PATH.
  const [command, ...first] = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm']
  const done = spawnSync(command, [...first, 'ci', '--foreground-scripts', '--no-fund', '--no-audit'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    env: withoutNpmConfig(process.env),
  })
  if (done.error)
    throw new SetupError('npm could not be started', 'install npm, which comes with Node (https://nodejs.org)')
  if (done.status !== 0) {
    throw new SetupError(
      `npm ci failed${done.signal ? ` (${done.signal})` : ''}; its messages are above`,
      'see that the package registry is reachable and run the command again',
    )
  }
  const left = findDifference()
  if (left !== null) throw new SetupError(`after npm ci ${left}`, 'rm -rf node_modules, and run the command again')
  say(`packages are installed (${Math.round((Date.now() - started) / 1000)} s)`)
  return true
}

/** What differs between the lockfile and what npm says it laid into node_modules (its hidden lockfile, written last). */
function findDifference() {
  const hidden = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(hidden)) return 'node_modules is not complete'
  const wanted = readPackages(join(root, 'package-lock.json'))
  let have
  try {
    have = readPackages(hidden)
  } catch {
    return 'node_modules is damaged'
  }
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue
    const there = have[path]
    if (there === undefined && entry.optional) continue // for another processor or system
    if (there === undefined) return `${path} is missing`
    if (there.version !== entry.version || there.integrity !== entry.integrity) return `${path} has another version`
  }
  for (const path of Object.keys(have)) if (wanted[path] === undefined) return `${path} is not in the lockfile`
  if (findNode() === null && Number(process.versions.node.split('.')[0]) < OLDEST_NODE) return 'Node 24 is missing'
  return null
}

function readPackages(path) {
  return JSON.parse(readFileSync(path, 'utf8')).packages ?? {}
}

function findNode() {
  const path = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node')
  return existsSync(path) ? path : null
}

/** The Node that all of the project runs on: the package's, else this one if it is new enough. */
export function projectNode() {
  const own = findNode()
  if (own !== null) return own
  if (Number(process.versions.node.split('.')[0]) >= OLDEST_NODE) return process.execPath
  throw new SetupError(
    `no package of Node ${OLDEST_NODE} is there for ${process.platform} ${process.arch}, and this Node is ${process.version}`,
    `install Node ${OLDEST_NODE} (https://nodejs.org)`,
  )
}

/** `npm run` hands its own flags down as npm_config_…; a `--json` meant for our script must not reach `npm ci`. */
function withoutNpmConfig(environment) {
  const kept = ['npm_config_cache', 'npm_config_registry', 'npm_config_userconfig', 'npm_config_globalconfig']
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !name.startsWith('npm_config_') || kept.includes(name)),
  )
}
