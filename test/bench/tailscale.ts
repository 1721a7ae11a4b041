import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { exists, goVersion, missingBecause, type Rival, rivalsFolder, runGo } from '../wireguard/index.ts'

const MODULE = 'tailscale.com'
const VERSION = 'v1.104.5'
const SOURCE = join(import.meta.dirname, 'tailnet', 'main.go')
/** Parts that a module proxy may refuse to give, since they import gvisor, and what only serves those. None of them is on the
 *  way of a packet between the TUN and UDP. */
const OMITTED = ['gro', 'netstack', 'outboundproxy', 'serve', 'ssh', 'webclient', 'tap', 'acme']

/** tailscaled with its command and servers of its own, built by the Go tool once and kept; `program` is their folder. */
export async function tailscale(): Promise<Rival> {
  const name = 'tailscaled'
  const folder = join(rivalsFolder, `tailscale-${VERSION}`)
  const programs = join(folder, 'bin')
  try {
    if (!(await exists(join(programs, 'tailnet')))) await build(folder, programs)
    const omitted = (await exists(join(programs, 'omitted'))) ? `, without ${OMITTED.join(', ')}` : ''
    const version = await goVersion(join(programs, 'tailscaled'), MODULE)
    return { name, program: programs, version: `${version}${omitted}` }
  } catch (error) {
    return { name, missing: missingBecause(error, 'go') }
  }
}

/** The servers come last: who finds them finds all. */
async function build(folder: string, programs: string): Promise<void> {
  await mkdir(join(folder, 'tailnet'), { recursive: true })
  await copyFile(SOURCE, join(folder, 'tailnet', 'main.go'))
  if (!(await exists(join(folder, 'go.mod')))) await runGo(['mod', 'init', 'ropewalk/tailnet'], folder)
  await runGo(['get', `${MODULE}@${VERSION}`], folder)
  const output = ['-mod=mod', '-trimpath', '-o', `${programs}/`]
  const both = [`${MODULE}/cmd/tailscaled`, `${MODULE}/cmd/tailscale`]
  try {
    await runGo(['build', ...output, ...both], folder)
  } catch {
    const tags = OMITTED.map((part) => `ts_omit_${part}`).join(',')
    await runGo(['build', ...output, '-tags', tags, ...both], folder)
    await mkdir(join(programs, 'omitted'), { recursive: true })
  }
  await runGo(['build', ...output, './tailnet'], folder)
}
