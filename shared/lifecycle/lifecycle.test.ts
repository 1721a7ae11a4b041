import { describe, expect, test } from 'vitest'
import { createStack, startable } from './index.ts'

function part(log: string[], name: string, fail?: 'start' | 'stop') {
  return startable({
    start() {
      log.push(`+${name}`)
      if (fail === 'start') throw new Error(`${name} cannot start`)
    },
    stop() {
      log.push(`-${name}`)
      if (fail === 'stop') throw new Error(`${name} cannot stop`)
    },
  })
}

describe('lifecycle', () => {
  test('a stack starts in order and stops in reverse, once', async () => {
    const log: string[] = []
    const stack = createStack()
    stack.use(part(log, 'a'))
    stack.use(part(log, 'b'))
    stack.defer(() => void log.push('-c'))
    await Promise.all([stack.start(), stack.start()])
    await Promise.all([stack.stop(), stack.stop()])
    expect(log).toEqual(['+a', '+b', '-c', '-b', '-a'])
  })

  test('a failed start undoes itself and tells the first failure', async () => {
    const log: string[] = []
    const stack = createStack()
    stack.use(part(log, 'a', 'stop'))
    stack.use(part(log, 'b', 'start'))
    stack.use(part(log, 'c'))
    await expect(stack.start()).rejects.toThrow('b cannot start')
    expect(log).toEqual(['+a', '+b', '-b', '-a'])
  })

  test('a failing stop does not keep the rest from stopping', async () => {
    const log: string[] = []
    const stack = createStack()
    stack.use(part(log, 'a'))
    stack.use(part(log, 'b', 'stop'))
    await stack.start()
    await expect(stack.stop()).rejects.toThrow('not everything stopped')
    expect(log).toEqual(['+a', '+b', '-b', '-a'])
  })

  test('stop during start aborts it and waits', async () => {
    const log: string[] = []
    const slow = startable({
      start: (signal) =>
        new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => {
            log.push('aborted')
            resolve()
          })
        }),
      stop: () => void log.push('stopped'),
    })
    const starting = slow.start()
    await slow.stop()
    await expect(starting).rejects.toThrow()
    expect(log).toEqual(['aborted', 'stopped'])
    await expect(slow.start()).rejects.toThrow('after stop')
  })

  test('an aborted signal keeps it from starting', async () => {
    const log: string[] = []
    await expect(part(log, 'a').start({ signal: AbortSignal.abort() })).rejects.toThrow()
    expect(log).toEqual(['-a'])
  })
})
