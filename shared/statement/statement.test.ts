import { field, struct, text } from '@ropewalk/shared/codec'
import { isRopewalkError } from '@ropewalk/shared/errors'
import { expectOnlyTypedErrors } from '@ropewalk/shared/hostile'
import { generateSigningKey } from '@ropewalk/shared/identity'
import { describe, expect, test } from 'vitest'
import { statementKind } from './index.ts'

const codec = struct({ word: field(1, text(20)) })
const greeting = statementKind({ kind: 'greeting', codec, maxBytes: 200 })
const farewell = statementKind({ kind: 'farewell', codec, maxBytes: 200 })
const treaty = statementKind({ kind: 'treaty', codec, maxBytes: 300, signatures: 2 })
const key = generateSigningKey()
const other = generateSigningKey()
const code = (run: () => unknown): unknown => {
  try {
    run()
    return 'accepted'
  } catch (error) {
    return isRopewalkError(error) ? error.code : error
  }
}

describe('a statement', () => {
  test('is read back by whoever knows the key', () => {
    expect(greeting.open(greeting.sign({ word: 'hello' }, key).bytes, [key.publicKey]).body).toEqual({ word: 'hello' })
  })

  test('does not hold under another key, in another kind, or with a changed byte', () => {
    const { bytes } = greeting.sign({ word: 'hello' }, key)
    expect(code(() => greeting.open(bytes, [other.publicKey]))).toBe('bad-signature')
    expect(code(() => farewell.open(bytes, [key.publicKey]))).toBe('bad-signature')
    for (let i = 0; i < bytes.length; i++) {
      const changed = new Uint8Array(bytes)
      changed[i] = (changed[i] ?? 0) ^ 1
      expect(code(() => greeting.open(changed, [key.publicKey]))).toMatch(/^bad-(signature|statement)$/)
    }
  })

  test('with two signatures needs both, in their order', () => {
    const { bytes } = treaty.sign({ word: 'peace' }, key, other)
    expect(treaty.open(bytes, [key.publicKey, other.publicKey]).body.word).toBe('peace')
    expect(code(() => treaty.open(bytes, [other.publicKey, key.publicKey]))).toBe('bad-signature')
    expect(code(() => treaty.open(bytes, [key.publicKey]))).toBe('bad-signature')
    expect(code(() => greeting.open(bytes, [key.publicKey]))).toBe('bad-statement')
  })

  test('that nobody would accept cannot be made', () => {
    expect(code(() => greeting.sign({ word: 'x'.repeat(21) }, key))).toBe('bad-statement')
  })

  test('meets hostile bytes with typed errors only', () => {
    expectOnlyTypedErrors(
      greeting.sign({ word: 'hello' }, key).bytes,
      (raw) => greeting.open(raw, [key.publicKey]),
      3_000,
    )
  })
})
