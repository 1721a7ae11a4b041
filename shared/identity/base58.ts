const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const VALUES: readonly number[] = Array.from({ length: 128 }, (_, code) => ALPHABET.indexOf(String.fromCharCode(code)))

// a node id is decoded for every line of every sync message: so five letters and two bytes at a time
const LETTERS = 5
const LETTERS_BASE = 58 ** LETTERS
const BYTES_BASE = 2 ** 16

/** Bytes as base58 text in Bitcoin's alphabet (base58btc), the form of a libp2p PeerId. */
export function toBase58(bytes: Uint8Array): string {
  const zeros = leading(bytes, 0)
  const limbs: number[] = []
  let index = zeros
  // an odd first byte alone, then pairs
  if ((bytes.length - zeros) % 2 === 1) multiplyAdd(limbs, LETTERS_BASE, 256, bytes[index++] ?? 0)
  for (; index < bytes.length; index += 2) {
    multiplyAdd(limbs, LETTERS_BASE, BYTES_BASE, ((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0))
  }
  let text = ''
  for (const limb of limbs) {
    let rest = limb
    for (let i = 0; i < LETTERS; i++) {
      text = ALPHABET.charAt(rest % 58) + text
      rest = Math.floor(rest / 58)
    }
  }
  return '1'.repeat(zeros) + text.slice(leading(text, '1'))
}

/** The bytes of base58btc text, or `undefined` when a letter is foreign to the alphabet. The caller limits the length. */
export function fromBase58(text: string): Uint8Array | undefined {
  const zeros = leading(text, '1')
  const limbs: number[] = []
  for (let index = zeros; index < text.length; ) {
    const end = Math.min(text.length, index + LETTERS)
    let value = 0
    let base = 1
    for (; index < end; index++) {
      const letter = VALUES[text.charCodeAt(index)] ?? -1
      if (letter < 0) return undefined
      value = value * 58 + letter
      base *= 58
    }
    multiplyAdd(limbs, BYTES_BASE, base, value)
  }
  const bytes: number[] = limbs.reverse().flatMap((limb) => [limb >> 8, limb & 0xff])
  const padding = leading(bytes, 0)
  return Uint8Array.from([...new Array<number>(zeros).fill(0), ...bytes.slice(padding)])
}

/** `limbs · factor + addend`, the least limb first. Products stay below 2^53. */
function multiplyAdd(limbs: number[], base: number, factor: number, addend: number): void {
  let carry = addend
  for (let i = 0; i < limbs.length; i++) {
    carry += (limbs[i] ?? 0) * factor
    limbs[i] = carry % base
    carry = Math.floor(carry / base)
  }
  for (; carry > 0; carry = Math.floor(carry / base)) limbs.push(carry % base)
}

function leading<T>(values: ArrayLike<T>, wanted: T): number {
  let count = 0
  while (count < values.length && values[count] === wanted) count++
  return count
}
