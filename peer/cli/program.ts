import { styleText } from 'node:util'
import { isRopewalkError, messageOf, type RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { Command, CommanderError } from 'commander'
import { type GlobalOptions, Invocation } from './invocation.ts'
import type { Io } from './io.ts'

/** What a command takes and does. */
export interface CommandSpec {
  /** Adds arguments and options and the action, which does its work inside `run`. */
  readonly build: (command: Command, run: (action: (invocation: Invocation) => Promise<void>) => Promise<void>) => void
}

/** A command as the program lists it; it is loaded only when it is the one that was asked for. */
export interface ListedCommand {
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<CommandSpec>
}

export interface ProgramOptions {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly groups: Readonly<Record<string, string>>
  readonly commands: readonly ListedCommand[]
  /** What the program does by itself, where it has no commands. */
  readonly only?: CommandSpec
}

/**
 * Runs one command line.
 *
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage, 3 no peer here, 4 not reachable, 5 refused
 */
export async function runProgram(options: ProgramOptions, argv: readonly string[], io: Io): Promise<number> {
  const program = new Command(options.name).description(options.description).version(options.version)
  const json = argv.some(
    (word, at) => word === '--output=json' || (['-o', '--output'].includes(word) && argv[at + 1] === 'json'),
  )
  const prepare = (command: Command): Command =>
    command
      .exitOverride()
      .showHelpAfterError('(--help shows what there is)')
      .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => io.stderr.write(text) })
  prepare(program)
  if (options.only !== undefined) bind(addGlobals(program), options.only, io)
  const groups = new Map<string, Command>()
  for (const { name, summary, load } of options.commands) {
    const [first = '', second] = name.split(' ')
    let parent = program
    if (second !== undefined) {
      const known = groups.get(first)
      parent = known ?? prepare(program.command(first).description(options.groups[first] ?? ''))
      groups.set(first, parent)
    }
    const command = addGlobals(prepare(parent.command(second ?? first).description(summary)))
    if (isAskedFor(name, argv)) bind(command, await load(), io)
  }
  try {
    await program.parseAsync(argv, { from: 'user' })
    return 0
  } catch (error) {
    return report(error, io, json)
  }
}

/** Whether the command line is about this command: its words stand in it, in their order. */
function isAskedFor(name: string, argv: readonly string[]): boolean {
  const [first = '', second] = name.split(' ')
  const at = argv.indexOf(first)
  return at >= 0 && (second === undefined || argv.indexOf(second, at + 1) >= 0)
}

function bind(command: Command, spec: CommandSpec, io: Io): void {
  spec.build(command, (action) => action(new Invocation(command.opts<GlobalOptions>(), io)))
}

function addGlobals(command: Command): Command {
  return command
    .option('--state <dir>', 'state folder (ROPEWALK_STATE)')
    .option('-o, --output <form>', 'table or json')
    .option('--timeout <duration>', 'give up after this long, e.g. 10s')
    .option('--log-level <level>', 'trace, debug, info, warn, error or silent (ROPEWALK_LOG_LEVEL)')
}

function report(error: unknown, io: Io, json: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2 // help and version are no errors
  if (error instanceof ExitWith) return error.exitCode
  const known = toRopewalkError(error)
  if (json) {
    io.stdout.write(
      `${JSON.stringify({ version: 1, error: { code: known.code, message: known.message, hint: known.hint } })}\n`,
    )
  }
  io.stderr.write(errorText(known, io.stderr.isTTY === true))
  if (known.code === 'internal' && !isRopewalkError(error))
    io.stderr.write(`${error instanceof Error ? error.stack : messageOf(error)}\n`)
  return known.exitCode
}

/** One sentence, a stable code, a next step. */
export function errorText(error: RopewalkError, colours: boolean): string {
  const word = colours ? styleText('red', 'error', { validateStream: false }) : 'error'
  const next = error.hint === undefined ? '' : `  try: ${error.hint}\n`
  return `${word}: ${error.message} [${error.code}]\n${next}`
}

/** Ends the program with the exit code of another program that it ran. */
export class ExitWith extends Error {
  readonly exitCode: number

  constructor(exitCode: number) {
    super(`exit ${exitCode}`)
    this.exitCode = exitCode
  }
}
