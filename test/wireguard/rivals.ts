import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Another's program to stand beside: where it is, or why it cannot be had. */
export type Rival =
  | { readonly name: string; readonly program: string; readonly version: string; readonly mtu?: number }
  | { readonly name: string; readonly missing: string }

const MODULE = 'golang.zx2c4.com/wireguard'
const BORINGTUN = '0.7.1'
const BUILD_TIMEOUT_MS = 900_000
const OUTPUT_BYTES = 2 ** 26
/** What wg-quick gives an interface whose program does not choose by itself. */
const USUAL_MTU = 1420
/** Where rivals are built and kept. */
export const rivalsFolder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ropewalk', 'rivals')

/** Upstream's wireguard-go, newest, built by the Go tool once and kept. */
export async function wireguardGo(): Promise<Rival> {
  const name = 'wireguard-go'
  const program = join(rivalsFolder, name)
  try {
    if (!(await exists(program))) await build(program)
    return { name, program, version: await goVersion(program, MODULE) }
  } catch (error) {
    return { name, missing: missingBecause(error, 'go') }
  }
}

/** Debian's wireguard-go of 2022: what `apt-get install` gives. */
export async function wireguardGoDebian(): Promise<Rival> {
  const name = 'wireguard-go-debian'
  try {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's own format
    const { stdout } = await run('dpkg-query', ['-W', '-f', '${Version}', 'wireguard-go'])
    const files = await run('dpkg-query', ['-L', 'wireguard-go'])
    const program = files.stdout.split('\n').find((file) => file.endsWith('/bin/wireguard-go'))
    return program === undefined ? { name, missing: 'the package has no program' } : { name, program, version: stdout }
  } catch (error) {
    return { name, missing: missingBecause(error, 'dpkg-query') }
  }
}

/** Cloudflare's boringtun-cli, built by cargo once and kept. */
export async function boringtun(): Promise<Rival> {
  const name = 'boringtun-cli'
  const root = join(rivalsFolder, `${name}-${BORINGTUN}`)
  const program = join(root, 'bin', name)
  try {
    if (!(await exists(program))) {
      const words = ['install', '--locked', '--root', root, name, '--version', BORINGTUN]
      await run('cargo', words, { timeout: BUILD_TIMEOUT_MS, maxBuffer: OUTPUT_BYTES })
    }
    const { stdout } = await run(program, ['--version'])
    return { name, program, version: stdout.split(' ').at(-1)?.trim() ?? 'unknown', mtu: USUAL_MTU }
  } catch (error) {
    return { name, missing: missingBecause(error, 'cargo') }
  }
}

/** Runs the Go tool, wherever it is installed. */
export async function runGo(words: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  const PATH = `${process.env.PATH}${delimiter}/usr/local/go/bin`
  await run('go', words, {
    cwd,
    env: { ...process.env, PATH, GOTOOLCHAIN: 'auto', GOFLAGS: '', ...env },
    timeout: BUILD_TIMEOUT_MS,
    maxBuffer: OUTPUT_BYTES,
  })
}

/** The version of a module that a Go program was built from, and of the compiler. */
export async function goVersion(program: string, module: string): Promise<string> {
  const { stdout } = await run('go', ['version', '-m', program])
  const line = stdout.split('\n').find((each) => new RegExp(`^\t(mod|dep)\t${module}\t`).test(each))
  return `${line?.split('\t')[3] ?? 'unknown'} ${stdout.split(': ')[1]?.split('\n')[0] ?? ''}`.trim()
}

async function build(program: string): Promise<void> {
  await mkdir(rivalsFolder, { recursive: true })
  const scratch = await mkdtemp(join(rivalsFolder, 'build-'))
  try {
    await runGo(['install', '-trimpath', `${MODULE}@latest`], scratch, { GOBIN: scratch })
    await rename(join(scratch, 'wireguard'), program)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** Whether there is such a file. */
export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

/** Why a rival cannot be had, in one line without addresses; `command` is what was run. */
export function missingBecause(error: unknown, command: string): string {
  const { code, stderr, message } = error as { code?: unknown; stderr?: string; message: string }
  if (code === 'ENOENT') return `no ${command} here`
  const lines = (stderr ?? message).trim().split('\n')
  return (lines.at(-1) ?? message).replaceAll(/https?:\/\/\S+/g, 'URL').slice(0, 200)
}
