const WIDTH = 4096

/** Remembers which numbers of a rising series were used, in any order within a window; older ones count as used. */
export interface OnceWindow {
  /** True the first time for each number, else false. */
  use(number: number): boolean
}

/** A window that has seen nothing. Memory stays bounded by its width of 4,096. */
export function createOnceWindow(): OnceWindow {
  const used = new Set<number>()
  let highest = -1
  return {
    use(number) {
      if (!Number.isSafeInteger(number) || number < 0 || number <= highest - WIDTH || used.has(number)) return false
      used.add(number)
      if (number > highest) {
        // forget what the window has left behind; a leap past it empties it at once
        if (number - highest >= WIDTH) used.clear()
        else for (let old = highest - WIDTH + 1; old <= number - WIDTH; old++) used.delete(old)
        used.add(number)
        highest = number
      }
      return true
    },
  }
}
