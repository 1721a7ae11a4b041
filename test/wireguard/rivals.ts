import { execFile } from 'node:child_process'
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Another's program to stand beside: where it is, or why it cannot be had. */
export type Rival =
  | { readonly name: string; readonly program: string; readonly version: string }
  | { readonly name: string; readonly missing: string }

const MODULE = 'golang.zx2c4.com/wireguard'
const BUILD_TIMEOUT_MS = 300_000
const folder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ropewalk', 'rivals')

/** Upstream's wireguard-go, newest, built by the Go tool once and kept. */
export async function wireguardGo(): Promise<Rival> {
  const name = 'wireguard-go'
  const program = join(folder, name)
  try {
    if (!(await exists(program))) await build(program)
    const { stdout } = await run('go', ['version', '-m', program])
    const version =
      stdout
        .split('\n')
        .find((line) => line.startsWith(`\tmod\t${MODULE}\t`))
        ?.split('\t')[3] ?? 'unknown'
    return { name, program, version: `${version} ${stdout.split(': ')[1]?.split('\n')[0] ?? ''}`.trim() }
  } catch (error) {
    return { name, missing: reason(error, 'go') }
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
    return { name, missing: reason(error, 'dpkg-query') }
  }
}

async function build(program: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const scratch = await mkdtemp(join(folder, 'build-'))
  try {
    const PATH = `${process.env.PATH}${delimiter}/usr/local/go/bin`
    await run('go', ['install', '-trimpath', `${MODULE}@latest`], {
      env: { ...process.env, PATH, GOBIN: scratch, GOTOOLCHAIN: 'auto', GOFLAGS: '' },
      timeout: BUILD_TIMEOUT_MS,
    })
    await rename(join(scratch, 'wireguard'), program)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

function reason(error: unknown, command: string): string {
  const { code, stderr, message } = error as { code?: unknown; stderr?: string; message: string }
  if (code === 'ENOENT') return `no ${command} here`
  const lines = (stderr ?? message).trim().split('\n')
  return (lines.at(-1) ?? message).replaceAll(/https?:\/\/\S+/g, 'URL').slice(0, 200)
}
