// Packages of the operating system that a script wants (system-packages.json): installed where that is ours to do
// (root, apt), asked for on a terminal, named elsewhere together with what is skipped without them.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { root, SetupError, say } from './say.mjs'

const POLICY = '/usr/sbin/policy-rc.d'

/** Makes sure of what `script` wants. Throws only for what it cannot do without. */
export async function ensureSystemPackages(script) {
  const list = JSON.parse(readFileSync(join(root, 'setup', 'system-packages.json'), 'utf8')).packages
  const wanted = list.filter((entry) => entry.scripts.includes(script))
  let missing = wanted.filter((entry) => !isThere(entry))
  if (missing.length === 0) return
  if (mayInstall() && (await agreed(missing))) {
    install(missing)
    missing = missing.filter((entry) => !isThere(entry))
  }
  if (missing.length > 0) nameMissing(missing)
}

function isThere({ probe, oldest }) {
  const [command, ...args] = probe[0] === 'which' ? ['sh', '-c', `command -v ${probe[1]}`] : probe
  const done = spawnSync(command, args, { cwd: root, encoding: 'utf8', timeout: 20_000 })
  if (done.error || done.status !== 0) return false
  if (oldest === undefined) return true
  const [, major, minor] = /(\d+)\.(\d+)/.exec(done.stdout) ?? []
  return Number(major) > oldest[0] || (Number(major) === oldest[0] && Number(minor) >= oldest[1])
}

function mayInstall() {
  return process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')
}

/** Without a terminal nobody can be asked: a machine that runs us as root without one is a container or a CI runner. */
async function agreed(missing) {
  const names = missing.flatMap((entry) => entry.debian).join(' ')
  if (!process.stdin.isTTY || !process.stderr.isTTY || process.env.CI) {
    say(`installing Debian packages: ${names}`)
    return true
  }
  const prompt = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await prompt.question(`ropewalk: install these Debian packages: ${names}? [Y/n] `)
  prompt.close()
  return /^(y|yes|)$/i.test(answer.trim())
}

function install(missing) {
  const apt = (...args) =>
    spawnSync('apt-get', ['-q', '-o', 'Dpkg::Use-Pty=0', '-o', 'DPkg::Lock::Timeout=120', ...args], {
      stdio: ['ignore', 2, 2],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }).status === 0
  if (!apt('update')) say('apt-get update failed; going on with the package lists that are there')
  // A test wants the program sshd or haproxy, not a service on this machine's ports.
  const quiet = !existsSync(POLICY)
  if (quiet) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    const names = missing.flatMap((entry) => entry.debian)
    if (apt('install', '-y', '--no-install-recommends', ...names)) return
    // One unknown name fails them all: then each for itself.
    for (const entry of missing) apt('install', '-y', '--no-install-recommends', ...entry.debian)
  } finally {
    if (quiet) rmSync(POLICY, { force: true })
  }
}

function nameMissing(missing) {
  const names = missing.flatMap((entry) => entry.debian).join(' ')
  const hint = existsSync('/usr/bin/apt-get') ? `sudo apt-get install ${names}` : undefined
  const required = missing.find((entry) => entry.required)
  if (required !== undefined) {
    throw new SetupError(`${required.name} is missing or too old, and is needed for ${required.for}`, hintFor(required))
  }
  say(
    `${missing.length} SYSTEM PACKAGES ARE MISSING, what needs them is skipped: ${missing.map((m) => m.name).join(', ')}`,
  )
  for (const entry of missing) say(`  without ${entry.name} (for ${entry.for}) is skipped: ${entry.without}`)
  if (hint) say(`try: ${hint}`)
}

function hintFor({ elsewhere, debian }) {
  return existsSync('/usr/bin/apt-get') ? `sudo apt-get install ${debian.join(' ')}, or: ${elsewhere}` : elsewhere
}
