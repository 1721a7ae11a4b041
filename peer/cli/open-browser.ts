import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Io } from './io.ts'

/**
 * Opens an address that is a secret in the user's browser, if there is a screen. Command lines are seen by all users of a
 * machine, so the browser is given a file that only this user can read, and which leads on; the file goes when it is
 * disposed. A browser that may not read it says so: the address is printed all the same.
 */
export async function openBrowser(url: string, { env }: Pick<Io, 'env'>): Promise<AsyncDisposable> {
  const opener = openerOf(env)
  if (opener === undefined) return { [Symbol.asyncDispose]: async () => undefined }
  const folder = await mkdtemp(join(env.XDG_RUNTIME_DIR ?? tmpdir(), 'ropewalk-'))
  const page = join(folder, 'open.html')
  const html = `<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><meta http-equiv="refresh" content="0; url=${url}">\n`
  await writeFile(page, html, { mode: 0o600 })
  spawn(opener, [pathToFileURL(page).href], { env, detached: true, stdio: 'ignore' })
    .on('error', () => undefined) // there is none: the address is printed
    .unref()
  return { [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}

function openerOf(env: Io['env']): string | undefined {
  if (process.platform === 'darwin') return 'open'
  const screen = [env.WAYLAND_DISPLAY, env.DISPLAY].some((name) => name !== undefined && name !== '')
  return screen ? 'xdg-open' : undefined
}
