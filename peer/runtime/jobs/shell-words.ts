import { RopewalkError } from '@ropewalk/shared/errors'

/** A word that means itself to sh wherever it stands. */
const PLAIN = /^[\w./][\w.,/:@%+-]*$/
/** Behind the first word, these too are themselves: options, and `a=b`, which before it would be an assignment. */
const PLAIN_BEHIND = /^[\w.,/:@%+=-]+$/
/** The longest single argument that Linux hands to a program (MAX_ARG_STRLEN, 32 pages), the closing zero not counted. */
const MAX_COMMAND_BYTES = 131_071

/** Words of sh's own grammar (POSIX.1-2024, Shell Command Language 2.4), and of shells that have more. */
const RESERVED = new Set(
  'if then else elif fi do done case esac while until for in function select time coproc namespace'.split(' '),
)

/**
 * A command line for `sh -c` (Ray runs entry points so) from which sh makes exactly these words.
 *
 * @throws RopewalkError `bad-usage` for no words, a zero byte, or more than Linux takes
 */
export function shellCommand(words: readonly string[]): string {
  const [first = '', ...rest] = words
  if (first === '') throw new RopewalkError('bad-usage', 'There is no command to run', { hint: '… -- python train.py' })
  if (words.some((word) => word.includes('\0')))
    throw new RopewalkError('bad-usage', 'A word of the command has a zero byte in it, which no program can be given')
  const plainFirst = PLAIN.test(first) && !RESERVED.has(first)
  const line = [
    plainFirst ? first : quoted(first),
    ...rest.map((word) => (PLAIN_BEHIND.test(word) ? word : quoted(word))),
  ].join(' ')
  if (Buffer.byteLength(line) > MAX_COMMAND_BYTES)
    throw new RopewalkError('bad-usage', 'The command is longer than Linux takes (128 KiB)', {
      hint: 'put the arguments into a file of the working directory',
    })
  return line
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}
