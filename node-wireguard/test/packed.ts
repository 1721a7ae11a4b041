import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const folder = join(import.meta.dirname, '..')
const NO_CARGO = '/nowhere/cargo'
const TIMEOUT_MS = 50_000

export interface RunOptions {
  /** Cargo may be used, where the machine has it. */
  readonly cargo?: boolean
  readonly timeoutMs?: number
}

/** The packages as strangers get them, and empty folders to install them in; npm is offline, and so is what is not in them. */
export interface Packed extends AsyncDisposable {
  /** The face with the sources, and this platform's engine. */
  readonly tarballs: readonly string[]
  /** Without cargo unless said. */
  run(at: string, words: readonly string[], options?: RunOptions): Promise<{ readonly stdout: string }>
  /** A folder where `packages` are installed; `--ignore-scripts` and the like by `flags`. */
  installed(name: string, packages: readonly string[], flags?: readonly string[], options?: RunOptions): Promise<string>
}

export async function pack(): Promise<Packed> {
  const home = await mkdtemp(join(tmpdir(), 'node-wireguard-package-'))
  const run: Packed['run'] = (at, [command = '', ...args], { cargo = false, timeoutMs = TIMEOUT_MS } = {}) =>
    execute(command, args, { cwd: at, env: environment(home, cargo), timeout: timeoutMs })
  const { stdout } = await run(folder, [process.execPath, 'pack.mjs', home])
  return {
    tarballs: stdout.trim().split('\n'),
    run,
    installed: async (name, packages, flags = [], options = {}) => {
      const at = await mkdtemp(join(home, `${name}-`))
      await writeFile(join(at, 'package.json'), '{ "private": true, "type": "module" }')
      await run(at, ['npm', 'install', ...flags, ...packages], options)
      return at
    },
    [Symbol.asyncDispose]: () => rm(home, { recursive: true, force: true }),
  }
}

function environment(home: string, cargo: boolean): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.toLowerCase().startsWith('npm_') && name !== 'CARGO_TARGET_DIR',
  )
  return {
    ...Object.fromEntries(kept),
    ...(cargo ? {} : { CARGO: NO_CARGO }),
    npm_config_cache: join(home, 'cache'),
    npm_config_userconfig: join(home, 'npmrc'),
    npm_config_offline: 'true',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
  }
}

/** The example of the README of the package that is installed at `at`. */
export async function readmeExample(at: string): Promise<string> {
  const readme = await readFile(join(at, 'node_modules/node-wireguard/README.md'), 'utf8')
  return /^```js\n(.*?)^```$/ms.exec(readme)?.[1] ?? ''
}
