import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { LabNode } from '../lab/index.ts'

const PAGE_MS = 60_000
/** How far the page's own clock is run before it is read. */
const VIRTUAL_MS = 20_000

/** Whether there is one; what needs it is left out otherwise, and said. */
export function hasChromium(): boolean {
  const found = spawnSync('chromium', ['--version']).status === 0
  if (!found) console.log('SKIPPED: THE TESTS WITH A REAL BROWSER: chromium is not installed')
  return found
}

/** What a real browser on a node shows of a page that has come to rest, without its tags. */
export async function pageText(node: LabNode, url: string, folder: string): Promise<string> {
  const words = [
    '--headless=new',
    '--no-sandbox', // tests are root
    '--disable-gpu',
    '--disable-dev-shm-usage',
    `--user-data-dir=${join(folder, 'chromium')}`,
    `--virtual-time-budget=${VIRTUAL_MS}`,
    '--dump-dom',
    url,
  ]
  const env = { ...process.env, HOME: folder }
  const { stdout } = await node.exec('chromium', words, { env, timeoutMs: PAGE_MS })
  return stdout
    .replaceAll(/<(style|script)\b.*?<\/\1>/gs, ' ')
    .replaceAll(/<[^>]+>/g, ' ')
    .replaceAll(/\s+/g, ' ')
}
