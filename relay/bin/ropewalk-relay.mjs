#!/usr/bin/env node
// Plain JavaScript, so that an older Node can still say what is wrong or hand over to the project's own.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

if (Number(process.versions.node.split('.')[0]) >= 24) {
  await import('../main.ts')
} else {
  const own = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url))
  if (!existsSync(own)) {
    console.error(
      `ropewalk-relay needs Node 24, this is ${process.version}.\n  try: npm ci, which brings the right one`,
    )
    process.exit(1)
  }
  const child = spawn(own, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // a terminal gives Ctrl-C to both by itself
    process.on(name, () => (name === 'SIGINT' && process.stdin.isTTY) || child.kill(name))
  }
  child.on('error', (error) => {
    console.error(`${own} cannot be run: ${error.message}`)
    process.exitCode = 1
  })
  child.on('exit', (code) => {
    process.exitCode = code ?? 1
  })
}
