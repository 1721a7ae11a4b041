import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runStep } from './step.ts'

interface Violation {
  readonly from: string
  readonly to: string
  readonly rule: { readonly name: string }
}

interface Cruise {
  readonly summary: { readonly violations: readonly Violation[]; readonly totalCruised: number }
}

const PLANT = 'planted-violation'
const FOLDERS = ['shared', 'peer', 'relay', 'node-wireguard', 'test', 'demo', 'setup']

/** A forbidden import for each kind of rule; a run that does not find them all sees nothing and must not pass. */
const PLANTED = {
  [`shared/${PLANT}/index.ts`]: `import '../../relay/${PLANT}/index.ts'\nimport 'node:net'\n`,
  [`peer/${PLANT}/index.ts`]: `import '../../relay/${PLANT}/inner.ts'\n`,
  [`relay/${PLANT}/index.ts`]: `import './inner.ts'\n`,
  [`relay/${PLANT}/inner.ts`]: `import './index.ts'\n`,
}
const EXPECTED = ['shared-imports-nobody', 'shared-is-pure', 'nothing-imports-relay', 'through-the-door', 'no-cycles']

/** Runs dependency-cruiser once over the sources and a planted violation of each rule. Returns what is wrong, in lines. */
export async function checkFloors(root: string): Promise<string[]> {
  uproot(root)
  try {
    plant(root)
    const args = [
      '--config',
      '.dependency-cruiser.cjs',
      '--output-type',
      'json',
      ...FOLDERS.filter((folder) => existsSync(join(root, folder))),
    ]
    const { code, stdout, output } = await runStep('depcruise', args, { cwd: root })
    return judge(parse(stdout), code, output)
  } finally {
    uproot(root)
  }
}

function judge(cruise: Cruise | null, code: number, output: string): string[] {
  if (cruise === null) return [`dependency-cruiser ended with ${code} and no result:`, output.slice(-4000)]
  const violations = cruise.summary.violations
  const planted = violations.filter((each) => each.from.includes(PLANT))
  const missed = EXPECTED.filter((name) => !planted.some((each) => each.rule.name === name))
  return [
    ...missed.map((name) => `a planted violation of ${name} was not found: the check sees nothing`),
    ...violations
      .filter((each) => !each.from.includes(PLANT))
      .map((each) => `${each.rule.name}: ${each.from} → ${each.to}`),
  ]
}

function parse(output: string): Cruise | null {
  try {
    return JSON.parse(output) as Cruise
  } catch {
    return null
  }
}

function plant(root: string): void {
  for (const [path, text] of Object.entries(PLANTED)) {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), text)
  }
}

function uproot(root: string): void {
  for (const workspace of ['shared', 'peer', 'relay'])
    rmSync(join(root, workspace, PLANT), { recursive: true, force: true })
}
