import { type ChildProcess, spawn } from 'node:child_process'
import { LabError } from './error.ts'

/** Keeps the namespaces of one node alive. They live exactly as long as this process of ours: what holds them is a `cat` on
 *  a pipe from us, and it is init of the node's process namespace. When we end, in whatever way, the pipe closes, init ends,
 *  and the kernel ends every process of the node and removes its interfaces, rules and mounts. Nothing has a name outside. */
export interface Holder {
  /** The process whose namespaces are the node's (in /proc/PID/ns; init is its child). */
  readonly pid: number
  /** Ends all processes of the node and removes it. */
  end(): Promise<void>
}

const START_TIMEOUT_MS = 10_000

/** Makes the namespaces. `prepare` is a shell script that runs first in them, on the mounts of the node's own. */
export async function hold(name: string, prepare: string): Promise<Holder> {
  // SIGCHLD ignored: init of a process namespace inherits orphans, and the kernel then buries them.
  const script = `set -e\n${prepare}\nhostname ${name}\necho ready\nexec env --ignore-signal=CHLD cat`
  const flags = ['--net', '--mount', '--pid', '--uts', '--ipc', '--fork', '--mount-proc', '--kill-child']
  const child = spawn('unshare', [...flags, 'sh', '-c', script], { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  await ready(name, child)
  const { pid } = child
  if (pid === undefined) throw new LabError(`node ${name} has no process`)
  const ended = new Promise<void>((done) => child.once('exit', () => done()))
  return {
    pid,
    end: () => {
      child.kill('SIGKILL')
      return child.exitCode === null && child.signalCode === null ? ended : Promise.resolve()
    },
  }
}

function ready(name: string, child: ChildProcess): Promise<void> {
  return new Promise((done, failed) => {
    let said = ''
    const fail = (reason: string) => {
      clearTimeout(timer)
      child.kill('SIGKILL')
      failed(new LabError(`the namespaces of ${name} could not be made: ${said.trim() || reason}`))
    }
    const timer = setTimeout(() => fail(`not ready after ${START_TIMEOUT_MS} ms`), START_TIMEOUT_MS)
    child.once('error', (error) => fail(error.message))
    child.once('exit', (code, signal) => fail(`unshare ended with ${code ?? signal}`))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    child.stdout?.setEncoding('utf8').once('data', () => {
      clearTimeout(timer)
      child.removeAllListeners('exit').removeAllListeners('error')
      done()
    })
  })
}

/** The words before a command that make it run in a node, in the folder `cwd`. */
export function enter(pid: number, cwd: string): string[] {
  const namespaces = ['--net', '--mount', '--uts', '--ipc', `--pid=/proc/${pid}/ns/pid_for_children`]
  return ['nsenter', `--target=${pid}`, ...namespaces, '--', 'env', `--chdir=${cwd}`]
}

/** The words before a command that make it see a node's network and nothing else of it; it stays its own process. */
export function enterNetwork(pid: number): string[] {
  return ['nsenter', `--target=${pid}`, '--net', '--']
}
