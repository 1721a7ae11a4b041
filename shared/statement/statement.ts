import { bytes, type Codec, decodeWith, encodeWith, list, tuple } from '@ropewalk/shared/codec'
import { RopewalkError } from '@ropewalk/shared/errors'
import { hash, SIGNATURE_BYTES, type SigningKey, verifySignature } from '@ropewalk/shared/identity'

/** A statement that was opened: its body is read, its signatures hold. */
export interface Statement<T> {
  readonly body: T
  /** The bytes as they came: what is stored, sent on and hashed. */
  readonly bytes: Uint8Array
}

/** Which keys must have signed, in their order: known beforehand, or named by the body itself. */
export type Signers<T> = readonly Uint8Array[] | ((body: T) => readonly Uint8Array[])

/** What makes one kind of statement. */
export interface StatementOptions<T> {
  /** Part of the signed context `ropewalk/<kind>/1\0`, so that no statement passes for another kind. */
  readonly kind: string
  readonly codec: Codec<T>
  /** Most bytes of the whole statement; looked at before anything is decoded. */
  readonly maxBytes: number
  /** How many signatures it carries; 1 unless said. */
  readonly signatures?: number
}

/** One kind of signed statement: `[body bytes, signature, …]` in deterministic CBOR, Ed25519 over context ‖ body. */
export interface StatementKind<T> {
  readonly kind: string
  readonly maxBytes: number
  /** Signs a body with these keys. @throws RopewalkError `too-large` when the statement is over its limit */
  sign(body: T, ...keys: readonly SigningKey[]): Statement<T>
  /**
   * Opens bytes that may be hostile. @throws RopewalkError `too-large`, `bad-statement` for a malformed one,
   * `bad-signature` when a key of `signers` did not sign it
   */
  open(bytes: Uint8Array, signers: Signers<T>): Statement<T>
  /** Reads the body without looking at the signatures: for cheap look-ups before {@link open}. @throws as `open` */
  peek(bytes: Uint8Array): T
}

/** Makes a kind of statement. */
export function statementKind<T>(options: StatementOptions<T>): StatementKind<T> {
  return new Kind(options)
}

/** SHA-256 of a statement's bytes, 32 bytes: how statements name each other. */
export function statementHash(statement: Pick<Statement<unknown>, 'bytes'>): Uint8Array {
  return hash('ropewalk/statement/1', statement.bytes)
}

class Kind<T> implements StatementKind<T> {
  readonly kind: string
  readonly maxBytes: number
  readonly #codec: Codec<T>
  readonly #context: string
  readonly #signatures: number
  readonly #envelope: Codec<readonly [Uint8Array, readonly Uint8Array[]]>

  constructor({ kind, codec, maxBytes, signatures = 1 }: StatementOptions<T>) {
    this.kind = kind
    this.maxBytes = maxBytes
    this.#codec = codec
    this.#context = `ropewalk/${kind}/1\0`
    this.#signatures = signatures
    this.#envelope = tuple(bytes(1, maxBytes), list(bytes(SIGNATURE_BYTES), signatures))
  }

  sign(body: T, ...keys: readonly SigningKey[]): Statement<T> {
    if (keys.length !== this.#signatures) {
      throw new RopewalkError('internal', `A ${this.kind} statement takes ${this.#signatures} signatures`)
    }
    const encoded = encodeWith(this.#codec, body)
    const signatures = keys.map((key) => key.sign(this.#context, encoded))
    const whole = encodeWith(this.#envelope, [encoded, signatures])
    if (whole.length > this.maxBytes) {
      throw new RopewalkError('too-large', `A ${this.kind} statement of ${whole.length} bytes is over ${this.maxBytes}`)
    }
    // what is signed is what others will read: a body that they would refuse must fail here, at its maker
    return { body: this.#read(encoded), bytes: whole }
  }

  open(whole: Uint8Array, signers: Signers<T>): Statement<T> {
    const [encoded, signatures] = this.#unwrap(whole)
    const body = this.#read(encoded)
    const keys = typeof signers === 'function' ? signers(body) : signers
    const held =
      keys.length === this.#signatures && keys.every((key, index) => this.#holds(key, encoded, signatures[index]))
    if (!held) throw new RopewalkError('bad-signature', `The signature of the ${this.kind} statement does not hold`)
    return { body, bytes: new Uint8Array(whole) }
  }

  peek(whole: Uint8Array): T {
    return this.#read(this.#unwrap(whole)[0])
  }

  #holds(key: Uint8Array, encoded: Uint8Array, signature: Uint8Array | undefined): boolean {
    return signature !== undefined && verifySignature(key, this.#context, encoded, signature)
  }

  #unwrap(whole: Uint8Array): readonly [Uint8Array, readonly Uint8Array[]] {
    return this.#malformed(() => {
      const [encoded, signatures] = decodeWith(this.#envelope, whole, this.maxBytes)
      if (signatures.length !== this.#signatures) throw new RopewalkError('bad-input', 'wrong number of signatures')
      return [encoded, signatures]
    })
  }

  #read(encoded: Uint8Array): T {
    return this.#malformed(() => decodeWith(this.#codec, encoded, this.maxBytes))
  }

  #malformed<R>(read: () => R): R {
    try {
      return read()
    } catch (cause) {
      if (cause instanceof RopewalkError && cause.code === 'bad-input') {
        throw new RopewalkError('bad-statement', `The ${this.kind} statement is malformed: ${cause.message}`, { cause })
      }
      throw cause
    }
  }
}
