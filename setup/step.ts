import { spawn } from 'node:child_process'

/** How a command ended. */
export interface Ended {
  readonly code: number
  /** stdout alone. */
  readonly stdout: string
  /** stdout and stderr in their order. */
  readonly output: string
  readonly seconds: number
}

export interface StepOptions {
  readonly cwd: string
  readonly env?: NodeJS.ProcessEnv
  /** Shows the output while it comes, as well as collecting it. */
  readonly live?: boolean
}

/** Runs a command without stdin to its end. A command that cannot be started ends with 127 and the reason as its output. */
export function runStep(command: string, args: readonly string[], options: StepOptions): Promise<Ended> {
  const started = performance.now()
  const all: string[] = []
  const out: string[] = []
  return new Promise((done) => {
    const end = (code: number) => {
      const seconds = (performance.now() - started) / 1000
      done({ code, stdout: out.join(''), output: all.join(''), seconds })
    }
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...(options.env ?? process.env), ...colours() },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        all.push(text)
        if (stream === child.stdout) out.push(text)
        if (options.live) process.stdout.write(text)
      })
    }
    child.on('error', (error) => {
      all.push(`${command} could not be started: ${error.message}\n`)
      end(127)
    })
    child.on('close', (code, signal) => {
      if (signal !== null) all.push(`${command} was ended by ${signal}\n`)
      end(code ?? 128)
    })
  })
}

/** A pipe stands between the command and the terminal, if there is one: tell the command what it would have found out. */
function colours(): NodeJS.ProcessEnv {
  return process.stdout.isTTY ? { FORCE_COLOR: '1' } : { FORCE_COLOR: undefined, NO_COLOR: '1' }
}
