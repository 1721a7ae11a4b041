import { join, resolve } from 'node:path'

/** Where the runtime lies: `$ROPEWALK_RUNTIME`, which several peers of one machine may share, else in the state folder. */
export function runtimeFolder(stateFolder: string, env: Readonly<Record<string, string | undefined>>): string {
  const named = env.ROPEWALK_RUNTIME
  return named === undefined || named === '' ? join(stateFolder, 'runtime') : resolve(named)
}
