// Builds the engine with cargo and lays it beside the face, so that `import 'node-wireguard'` finds it.
//   node build.mjs [--if-missing]     with the flag only where no ready-built engine is installed
//   node build.mjs --platform NAME    for another platform of binaries.mjs, for pack.mjs; needs Rust's target and a C compiler for it
// Plain JavaScript: it runs at install time, on whatever Node the machine has.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LIBRARY, PLATFORMS, PROGRAMS, platform } from './binaries.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const published = existsSync(join(here, 'dist'))
/** The folder of the face: here in the repository, `dist` in the published package. */
const face = published ? join(here, 'dist') : here
const OLDEST_CARGO = [1, 89]

const [flag, name] = process.argv.slice(2)
const other = flag === '--platform' ? PLATFORMS.find((each) => each.name === name) : undefined
if (flag === '--platform' && other === undefined) fail(`${name} is not among the platforms of binaries.mjs`)
if (flag === '--if-missing' && isThere()) process.exit(0)

function fail(sentence) {
  console.error(`node-wireguard: ${sentence}`)
  process.exit(1)
}

const cargo = process.env.CARGO ?? 'cargo'
const probe = spawnSync(cargo, ['--version'], { encoding: 'utf8' })
const version = /^cargo (\d+)\.(\d+)/.exec(probe.stdout ?? '')
const wanted = `Rust ${OLDEST_CARGO.join('.')} or newer is needed to build the engine`
if (version === null)
  fail(`${wanted}, and no cargo was found; install it (https://rustup.rs) and run the command again.`)
const [major, minor] = [Number(version[1]), Number(version[2])]
if (major < OLDEST_CARGO[0] || (major === OLDEST_CARGO[0] && minor < OLDEST_CARGO[1])) {
  fail(`${wanted}, and this cargo is ${major}.${minor}; update it (rustup update) and run the command again.`)
}

// Debug lines are nine tenths of the size, and nobody looks for them in an installed package.
const lean = published || other !== undefined ? { CARGO_PROFILE_RELEASE_DEBUG: '0' } : {}
const env = { ...(other === undefined ? {} : compilers(other)), ...lean, ...process.env }
const words = ['build', '--release', '--locked', ...(other === undefined ? [] : ['--target', other.rust])]
const built = spawnSync(cargo, words, { cwd: here, stdio: 'inherit', env })
if (built.status !== 0) fail('cargo could not build the engine; its messages are above.')

if (other !== undefined) process.exit(0)

const target = process.env.CARGO_TARGET_DIR
const release = join(target ?? join(here, 'target'), 'release')
lay(join(release, LIBRARY), join(face, 'engine.node'))
for (const { name } of PROGRAMS) if (existsSync(join(release, name))) lay(join(release, name), join(face, name))
// Hundreds of megabytes that would lie in everybody's node_modules.
if (published && target === undefined) rmSync(join(here, 'target'), { recursive: true, force: true })

/** What cargo and the C parts of our dependencies are to build with. */
function compilers({ rust, cc }) {
  const variable = rust.replaceAll('-', '_')
  return { [`CARGO_TARGET_${variable.toUpperCase()}_LINKER`]: cc, [`CC_${variable}`]: cc }
}

/** Whether an engine lies beside the face already, or in the package of this platform. */
function isThere() {
  if (existsSync(join(face, 'engine.node'))) return true
  const found = platform()
  if (found === undefined) return false
  try {
    createRequire(import.meta.url).resolve(`node-wireguard-${found.name}/engine.node`)
    return true
  } catch {
    return false
  }
}

/** Replaces by rename: a running process keeps the file that it has mapped. */
function lay(from, to) {
  copyFileSync(from, `${to}.new`)
  renameSync(`${to}.new`, to)
}
