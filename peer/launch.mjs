// Plain JavaScript, so that an older Node can still say what is wrong or hand over to the project's own.
import { spawn } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const TOP = new URL('../', import.meta.url)

/** Imports `main` on Node 24, else runs `entry` again on the project's own Node. Both are URLs. */
export async function launch(name, entry, main) {
  if (Number(process.versions.node.split('.')[0]) >= 24) {
    await keepCompiled()
    await import(main)
  } else {
    handOver(name, entry)
  }
}

/**
 * Compiled modules are kept beside the packages: a command starts in half the time. Not in the system's temporary
 * folder, where others could leave code for us, nor in a checkout that is somebody else's.
 */
async function keepCompiled() {
  const packages = fileURLToPath(new URL('node_modules/', TOP))
  if (statSync(packages, { throwIfNoEntry: false })?.uid !== process.getuid?.()) return
  const { enableCompileCache } = await import('node:module')
  enableCompileCache(`${packages}.cache/ropewalk`)
}

function handOver(name, entry) {
  const own = fileURLToPath(new URL('node_modules/.bin/node', TOP))
  if (!existsSync(own)) {
    console.error(`${name} needs Node 24, this is ${process.version}.\n  try: npm ci, which brings the right one`)
    process.exit(1)
  }
  const child = spawn(own, [fileURLToPath(entry), ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // a terminal gives Ctrl-C to both by itself
    process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY) || child.kill(signal))
  }
  child.on('error', (error) => {
    console.error(`${own} cannot be run: ${error.message}`)
    process.exitCode = 1
  })
  child.on('exit', (code) => {
    process.exitCode = code ?? 1
  })
}
