// The engine is built again when its sources are not those that it was built from.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root, SetupError, say } from './say.mjs'

const folder = join(root, 'node-wireguard')
const built = join(folder, 'engine.node')
const stampFile = join(root, 'node_modules', '.ropewalk-engine')
const SOURCES = [
  'src',
  'Cargo.toml',
  'Cargo.lock',
  'build.rs',
  'build.mjs',
  'binaries.mjs',
  '.cargo',
  'rust-toolchain.toml',
]

/** `fresh`: npm ci has built it just now. */
export function ensureEngine(fresh) {
  const sources = hashSources()
  if (fresh && existsSync(built)) return writeStamp(sources)
  if (existsSync(built) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stampOf(sources)) return
  say(
    existsSync(built)
      ? 'the engine is older than its sources: building it'
      : 'the engine is not built yet: building it',
  )
  const done = spawnSync(process.execPath, [join(folder, 'build.mjs')], { cwd: folder, stdio: ['ignore', 2, 2] })
  if (done.status !== 0) throw new SetupError('the engine could not be built; the reason is above', 'npm run check')
  writeStamp(sources)
}

/** The stamp names the very file, so that one built from other sources by hand is not mistaken for it. */
function stampOf(sources) {
  const { size, mtimeMs } = statSync(built)
  return `${sources} ${size} ${mtimeMs}\n`
}

function writeStamp(sources) {
  writeFileSync(stampFile, stampOf(sources))
}

function hashSources() {
  const hash = createHash('sha256')
  for (const name of SOURCES) addTo(hash, name)
  return hash.digest('hex')
}

function addTo(hash, name) {
  const path = join(folder, name)
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (found.isDirectory()) for (const entry of readdirSync(path).sort()) addTo(hash, join(name, entry))
  else hash.update(`${name}\0${found.size}\0`).update(readFileSync(path))
}
