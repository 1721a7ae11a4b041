import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { openBrowser } from './open-browser.ts'

const URL_TEXT = 'http://127.0.0.1:1/secret/'

test('the browser is led to the address by a file that only its user can read, and no command line shows it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rw-browser-'))
  const opener = join(folder, process.platform === 'darwin' ? 'open' : 'xdg-open')
  await writeFile(opener, `#!/bin/sh\necho "$@" >"${folder}/new"; mv "${folder}/new" "${folder}/opened"\n`)
  await chmod(opener, 0o755)
  const env = { PATH: `${folder}:${process.env.PATH}`, DISPLAY: ':0', XDG_RUNTIME_DIR: folder }
  let page = ''
  {
    await using _opened = await openBrowser(URL_TEXT, { env })
    const words = await whole(join(folder, 'opened'))
    expect(words).not.toContain('secret')
    page = fileURLToPath(words.trim())
    expect((await stat(page)).mode & 0o777).toBe(0o600)
    expect((await stat(join(page, '..'))).mode & 0o777).toBe(0o700)
    expect(await readFile(page, 'utf8')).toContain(`url=${URL_TEXT}"`)
  }
  await expect(stat(page)).rejects.toThrow(/ENOENT/)
  await rm(folder, { recursive: true })
})

test('without a screen or an opener nothing happens', async () => {
  for (const env of [{ PATH: '/none' }, { PATH: '/none', DISPLAY: ':0', XDG_RUNTIME_DIR: tmpdir() }])
    await (await openBrowser(URL_TEXT, { env }))[Symbol.asyncDispose]()
})

/** A file that another process writes; the test's own limit ends the wait. */
async function whole(path: string): Promise<string> {
  for (;;) {
    const text = await readFile(path, 'utf8').catch(() => undefined)
    if (text !== undefined) return text
    await sleep(10)
  }
}
