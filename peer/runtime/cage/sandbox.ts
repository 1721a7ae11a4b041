import { readlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { HOME_INSIDE, RUNTIME_INSIDE } from './face.ts'

/** What a cage's file system is made of. */
export interface SandboxOptions {
  /** The lease's folder on this machine. */
  readonly folder: string
  readonly runtime: string
  /** Folders of the interpreter, read-only where they are. */
  readonly interpreter: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly memoryMiB: number
  readonly devices: readonly string[]
  readonly view: { readonly folder: string; readonly inside: string } | null
  /** `lib64` and the like in the root folder, and where each leads if it is a link. */
  readonly top: readonly { readonly name: string; readonly link: string | null }[]
}

/** What must hold whatever happens to the other words: it stands on the command line. */
export const FIXED_WORDS = [
  ...['--die-with-parent', '--new-session', '--unshare-pid', '--unshare-ipc', '--unshare-uts'],
  '--unshare-cgroup-try',
  // Enough for setpriv to become the lease's user and to give up even these.
  ...['--cap-drop', 'ALL', '--cap-add', 'CAP_SETUID', '--cap-add', 'CAP_SETGID', '--cap-add', 'CAP_SETPCAP'],
]

/** What a program needs of a machine's settings, and nothing that says who works there. */
const ETC = [
  ...['alternatives', 'ca-certificates', 'ld.so.cache', 'ld.so.conf', 'ld.so.conf.d', 'localtime', 'mime.types'],
  ...['nsswitch.conf', 'pki', 'protocols', 'resolv.conf', 'services', 'ssl/certs', 'ssl/openssl.cnf', 'timezone'],
]

/** Read-only; topology of processors and GPUs. */
const SYS = ['/sys/bus', '/sys/class', '/sys/devices', '/sys/module']

/** Words for `bwrap --args`: folders, devices, environment. */
export function sandboxWords(options: SandboxOptions): string[] {
  const { folder, runtime, view } = options
  const own = (name: string) => join(folder, name)
  // The first line of the runtime's programs names the place where it was made.
  const made = isFree(runtime) ? [runtime] : []
  return [
    ...['--ro-bind', '/usr', '/usr'],
    ...options.top.flatMap(({ name, link }) =>
      link === null ? ['--ro-bind', `/${name}`, `/${name}`] : ['--symlink', link, `/${name}`],
    ),
    ...[
      HOME_INSIDE,
      RUNTIME_INSIDE,
      '/etc/ssl/certs',
      '/sys/fs/cgroup/memory',
      ...options.interpreter,
      ...made,
    ].flatMap(above),
    ...ETC.flatMap((name) => ['--ro-bind-try', `/etc/${name}`, `/etc/${name}`]),
    ...['passwd', 'group', 'hosts'].flatMap((name) => ['--ro-bind', own(`etc/${name}`), `/etc/${name}`]),
    ...SYS.flatMap((path) => ['--ro-bind-try', path, path]),
    ...(view === null ? [] : ['--ro-bind', view.folder, view.inside]),
    ...['--proc', '/proc', '--dev', '/dev', '--dir', '/run', '--dir', '/var', '--symlink', '../tmp', '/var/tmp'],
    // Objects lie there; what is written counts as the lease's memory.
    ...['--perms', '1777', '--size', String(options.memoryMiB * 1024 * 1024), '--tmpfs', '/dev/shm'],
    ...options.devices.flatMap((path) => ['--dev-bind-try', path, path]),
    ...['--bind', own('tmp'), '/tmp', '--bind', own('home'), HOME_INSIDE],
    ...options.interpreter.flatMap((path) => ['--ro-bind', path, path]),
    ...['--ro-bind', runtime, RUNTIME_INSIDE],
    ...made.flatMap((path) => ['--symlink', RUNTIME_INSIDE, path]),
    ...['--remount-ro', '/', '--chdir', '/', '--clearenv'],
    ...Object.entries(environment(options.env)).flatMap(([name, value]) => ['--setenv', name, value]),
  ]
}

/** The folders above a path, open to the lease's user: those that bubblewrap makes by itself are not. */
function above(path: string): string[] {
  const parent = dirname(path)
  return parent === '/' ? [] : [...above(parent), '--perms', '0755', '--dir', parent]
}

/** Whether a path means nothing else inside. */
function isFree(path: string): boolean {
  return !/^\/(tmp|usr|etc|dev|proc|sys|run|var\/tmp|bin|lib|lib64|sbin)(\/|$)/.test(path) && path !== RUNTIME_INSIDE
}

/** All that a cage's processes get to see of variables. */
export function environment(env: Readonly<Record<string, string>>): Record<string, string> {
  return {
    PATH: `${RUNTIME_INSIDE}/bin:/usr/local/bin:/usr/bin:/bin`,
    HOME: HOME_INSIDE,
    USER: 'lease',
    LOGNAME: 'lease',
    LANG: 'C.UTF-8',
    VIRTUAL_ENV: RUNTIME_INSIDE,
    ...env,
  }
}

/** How this machine's root folder is arranged: links into `/usr` on most. */
export async function topFolders(): Promise<SandboxOptions['top']> {
  const found = await Promise.all(
    ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32'].map(async (name) => {
      try {
        return [{ name, link: await readlink(`/${name}`) }]
      } catch (error) {
        return (error as NodeJS.ErrnoException).code === 'EINVAL' ? [{ name, link: null }] : []
      }
    }),
  )
  return found.flat()
}
