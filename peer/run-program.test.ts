import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { runProgram } from './run-program.ts'

const shell = (script: string, options: Partial<Parameters<typeof runProgram>[2]> = {}) =>
  runProgram('/bin/sh', ['-c', script], { timeoutMs: 10_000, ...options })

test('how a program ended and what it said', async () => {
  expect(await shell('echo a; echo b >&2; umask; exit 3')).toEqual({ code: 3, stdout: 'a\n0022\n' })
  expect((await shell('kill -9 $$')).code).toBe(137)
  const lines: string[] = []
  await shell(`echo a; echo b >&2; printf '%05000d' 1`, { onLine: (line) => lines.push(line) })
  expect(lines.toSorted()).toEqual([`0${'0'.repeat(4_095)}`, 'a', 'b'])
  await expect(runProgram('/nowhere/x', [], { timeoutMs: 1_000 })).rejects.toMatchObject({ code: 'missing-tool' })
})

test('a program that says too much, takes too long or is stopped is ended with all that it started', async () => {
  const group = "sleep 77 & trap '' TERM; echo $!"
  await expect(shell(`${group}; yes`, { maxBytes: 1_000 })).rejects.toMatchObject({ code: 'too-large' })
  await expect(shell(`${group}; wait`, { timeoutMs: 200 })).rejects.toMatchObject({ code: 'timeout' })
  const stop = new AbortController()
  const children: string[] = []
  const stopped = shell(`${group}; wait`, {
    signal: stop.signal,
    onLine: (line) => {
      children.push(line)
      stop.abort()
    },
  })
  await expect(stopped).rejects.toMatchObject({ code: 'aborted' })
  expect(children).toHaveLength(1)
  // what has ended and was not waited for yet has no command line any more
  expect(await readFile(`/proc/${children[0]}/cmdline`, 'utf8').catch(() => '')).toBe('')
  await expect(shell('true', { signal: stop.signal })).rejects.toThrow()
})
