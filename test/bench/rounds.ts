import { machineBusySeconds } from '../lab/index.ts'
import type { Absent, Bench, Entrant, Figure, Round } from './bench.ts'

/** All rounds of a bench. */
export interface Rounds {
  readonly rounds: ReadonlyMap<string, readonly Round[]>
  readonly absent: readonly Absent[]
  readonly versions: ReadonlyMap<string, string>
  /** Turns before which the machine was busy with something else, of how many. */
  readonly disturbed: number
  readonly turns: number
}

/** Cores in use by something else above which a turn counts as disturbed. */
const QUIET_CORES = 0.2
const LOOK_MS = 300
/** How long to wait for a quiet machine, before all turns together. */
const PATIENCE_MS = 30_000

/** Everyone in turn, `count` times: what slows the machine for a while slows all alike. A rival that fails is out from then on
 *  and named with the reason, its figures are not used; where we or the wire fail, there is nothing to compare. */
export async function runRounds(bench: Bench, count: number, say: (line: string) => void): Promise<Rounds> {
  const all = await bench.entrants()
  let present = all.filter((each): each is Entrant => 'measure' in each)
  const absent = all.filter((each): each is Absent => 'missing' in each)
  for (const { name, missing } of absent) say(`${name} cannot be had: ${missing}`)
  const rounds = new Map<string, Round[]>(present.map(({ name }) => [name, []]))
  const quiet = new Quiet()
  for (let round = 1; round <= count; round += 1) {
    for (const { name, measure } of present) {
      await quiet.wait()
      const figures = await measure().catch((error: Error) => {
        if (name === 'ours' || name === 'raw') throw error
        return { name, missing: `failed in round ${round}: ${error.message}` }
      })
      if (isAbsent(figures)) {
        say(`${figures.name} ${figures.missing}`)
        absent.push(figures)
        rounds.delete(name)
        present = present.filter((each) => each.name !== name)
        continue
      }
      rounds.get(name)?.push(figures)
      say(
        `round ${round}/${count} ${name.padEnd(20)} ${bench.cases.map((each) => show(each, figures[each])).join('  ')}`,
      )
    }
  }
  const versions = new Map(present.map(({ name, version }) => [name, version]))
  return { rounds, absent, versions, disturbed: quiet.disturbed, turns: quiet.turns }
}

function isAbsent(result: Round | Absent): result is Absent {
  return typeof result.missing === 'string'
}

function show(name: string, figure: Figure | undefined): string {
  return `${name} ${figure === undefined ? '-' : figure.value.toFixed(2)}`
}

class Quiet {
  disturbed = 0
  turns = 0
  #patienceMs = PATIENCE_MS

  async wait(): Promise<void> {
    this.turns += 1
    for (;;) {
      const before = await machineBusySeconds()
      await new Promise((done) => setTimeout(done, LOOK_MS))
      const busy = ((await machineBusySeconds()) - before) / (LOOK_MS / 1000)
      if (busy <= QUIET_CORES) return
      if (this.#patienceMs <= 0) {
        this.disturbed += 1
        return
      }
      this.#patienceMs -= LOOK_MS
    }
  }
}
