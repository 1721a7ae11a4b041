const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const VALUES = new Map([...ALPHABET].map((letter, value) => [letter, value]))

/** Bytes as base58 text in Bitcoin's alphabet (base58btc), the form of a libp2p PeerId. */
export function toBase58(bytes: Uint8Array): string {
  const zeros = leading(bytes, 0)
  const digits: number[] = []
  for (const byte of bytes.subarray(zeros)) {
    let carry = byte
    for (let i = 0; i < digits.length; i++) {
      carry += (digits[i] ?? 0) * 256
      digits[i] = carry % 58
      carry = Math.floor(carry / 58)
    }
    for (; carry > 0; carry = Math.floor(carry / 58)) digits.push(carry % 58)
  }
  const text = digits.reverse().map((digit) => ALPHABET.charAt(digit))
  return '1'.repeat(zeros) + text.join('')
}

/** The bytes of base58btc text, or `undefined` when a letter is foreign to the alphabet. The caller limits the length. */
export function fromBase58(text: string): Uint8Array | undefined {
  const values: number[] = []
  for (const letter of text) {
    const value = VALUES.get(letter)
    if (value === undefined) return undefined
    values.push(value)
  }
  const zeros = leading(values, 0)
  const bytes: number[] = []
  for (const value of values.slice(zeros)) {
    let carry = value
    for (let i = 0; i < bytes.length; i++) {
      carry += (bytes[i] ?? 0) * 58
      bytes[i] = carry & 0xff
      carry >>= 8
    }
    for (; carry > 0; carry >>= 8) bytes.push(carry & 0xff)
  }
  return Uint8Array.from([...new Array<number>(zeros).fill(0), ...bytes.reverse()])
}

function leading(values: ArrayLike<number>, wanted: number): number {
  let count = 0
  while (count < values.length && values[count] === wanted) count++
  return count
}
