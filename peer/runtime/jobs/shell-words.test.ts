import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { shellCommand } from './index.ts'

const NASTY = [
  '',
  "'",
  '"',
  '\\',
  '$HOME',
  '`id`',
  '$(id)',
  '*',
  '?',
  '[a-z]',
  '~',
  '!',
  '#',
  '&',
  ';',
  '|',
  '>',
  '\n',
  '\r',
]
const MORE = [
  'a b',
  '-n',
  '--',
  '=',
  'A=b',
  'if',
  '{',
  '}',
  '{a,b}',
  '\t',
  '\x7f',
  'é',
  '\ud83d\ude00',
  '-',
  '%s',
  '\\n',
  '\x01',
]
const word = fc.oneof(
  fc.constantFrom(...NASTY, ...MORE),
  fc.array(fc.constantFrom(...NASTY, ...MORE, 'x'), { maxLength: 6 }).map((parts) => parts.join('')),
  // whole code points only: lone surrogates are no text that an argument could carry
  fc.string({ unit: 'grapheme', maxLength: 30 }).map((text) => text.toWellFormed().replaceAll('\0', '')),
)

/** The words that a shell makes of a line; they follow the program, which prints each with a zero byte behind it. */
function heard(shell: string, words: readonly string[]): string[] {
  const line = shellCommand(['printf', '%s\\0', ...words])
  const { stdout, status } = spawnSync(shell, ['-c', line])
  expect(status, line).toBe(0)
  return stdout.toString('utf8').split('\0').slice(0, -1)
}

test.each(['sh', 'bash'])('%s makes of a command line exactly the words it was made of', (shell) => {
  const property = fc.property(fc.array(word, { minLength: 1, maxLength: 8 }), (words) => {
    expect(heard(shell, words)).toEqual(words)
  })
  fc.assert(property, { numRuns: 300 })
})

test('the first word is a program, whatever else it could mean to sh', () => {
  for (const name of ['if', 'A=b', '-x', '{', '!', 'time', '~', '#', 'a b', "it's"]) {
    const { stderr, status } = spawnSync('/bin/bash', ['-c', shellCommand([name, '1'])], { env: { PATH: '/nowhere' } })
    expect(status, name).toBe(127)
    expect(String(stderr), name).toContain('not found')
  }
  expect(shellCommand(['python', 'train.py', '--lr=0.1', '-v'])).toBe('python train.py --lr=0.1 -v')
})

test('what no program can be given is refused', () => {
  for (const words of [[], [''], ['a', '\0'], ['a', 'x'.repeat(140_000)]])
    expect(() => shellCommand(words)).toThrow(expect.objectContaining({ code: 'bad-usage' }))
})
