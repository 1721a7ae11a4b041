import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isRopewalkError, RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import ignore, { type Ignore } from 'ignore'

/** Never part of a package: what Ray leaves out itself, and what holds credentials and history. */
const NEVER = new Set(['.git', '.venv', 'venv', '__pycache__'])
const FILES = ['.gitignore', '.rayignore'] as const
const MAX_RULES_BYTES = 1 << 20

interface Rules {
  /** The folder they stand in, with a slash at its end; empty at the root. */
  readonly base: string
  readonly rules: Ignore
}

/** Which files of a tree are left out: by the rules of git for each kind of file, one kind as good as the other. */
export interface Ignored {
  /** The rules within a folder, which may have files of rules of its own. */
  within(folder: string, base: string): Promise<Ignored>
  /** Whether a path is left out; folders have a slash at their end. */
  has(path: string): boolean
}

/** The rules of no folder. */
export const nothingIgnored: Ignored = among(FILES.map(() => []))

function among(stacks: readonly (readonly Rules[])[]): Ignored {
  return {
    async within(folder, base) {
      const found = await Promise.all(FILES.map((name) => readRules(join(folder, name))))
      return among(stacks.map((stack, at) => (found[at] ? [{ base, rules: found[at] }, ...stack] : stack)))
    },
    has(path) {
      const name = path.replace(/\/$/, '').split('/').at(-1) ?? ''
      return NEVER.has(name) || stacks.some((stack) => isLeftOut(stack, path))
    },
  }
}

/** The nearest file that says anything decides (gitignore(5)); a folder that is left out is never entered. */
function isLeftOut(stack: readonly Rules[], path: string): boolean {
  for (const { base, rules } of stack) {
    const { ignored, unignored } = rules.test(path.slice(base.length))
    if (ignored || unignored) return ignored
  }
  return false
}

async function readRules(path: string): Promise<Ignore | undefined> {
  try {
    const text = await readFile(path)
    if (text.length > MAX_RULES_BYTES) throw new RopewalkError('too-large', `${path} is over 1 MiB`)
    return ignore({ ignorecase: false }).add(text.toString('utf8'))
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'EISDIR'))
      return undefined
    throw isRopewalkError(error) ? error : toRopewalkError(error)
  }
}
