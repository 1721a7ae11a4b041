// Builds the engine with cargo and lays it beside the face, so that `import 'node-wireguard'` finds it.
// Plain JavaScript: it runs at install time, on whatever Node the machine has.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const OLDEST_CARGO = [1, 88]

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

const built = spawnSync(cargo, ['build', '--release', '--locked'], { cwd: here, stdio: 'inherit' })
if (built.status !== 0) fail('cargo could not build the engine; its messages are above.')

const target = process.env.CARGO_TARGET_DIR ?? join(here, 'target')
const names = { linux: 'libnode_wireguard.so', darwin: 'libnode_wireguard.dylib' }
lay(join(target, 'release', names[process.platform] ?? 'node_wireguard.dll'), join(here, 'engine.node'))
const helper = join(target, 'release', 'node-wireguard-namespace')
if (existsSync(helper)) lay(helper, join(here, 'node-wireguard-namespace'))

/** Replaces by rename: a running process keeps the file that it has mapped. */
function lay(from, to) {
  copyFileSync(from, `${to}.new`)
  renameSync(`${to}.new`, to)
}
