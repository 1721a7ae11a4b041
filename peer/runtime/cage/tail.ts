const KEPT_CHARACTERS = 8_192
const SHOWN_LINES = 40

/** The end of an output of any length. */
export class Tail {
  #text = ''

  add(text: string): void {
    this.#text = (this.#text + text).slice(-KEPT_CHARACTERS)
  }

  /** At most 40 lines and 8,192 characters; the first may have lost its beginning. */
  toString(): string {
    return this.#text.trimEnd().split('\n').slice(-SHOWN_LINES).join('\n')
  }
}
