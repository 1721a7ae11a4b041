import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A wheel is a zip; Python has the means to make one, Node has not. */
const ZIP = `
import sys, zipfile
path, name, version, tag, source, needs = sys.argv[1:]
info = f"{name}-{version}.dist-info"
requires = f"Requires-Dist: {needs}\\n" if needs else ""
with zipfile.ZipFile(path, "w") as wheel:
  files = {
    f"{name}/__init__.py": source,
    f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n{requires}",
    f"{info}/WHEEL": f"Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: {tag}\\n",
  }
  for place, text in files.items(): wheel.writestr(place, text)
  record = "".join(f"{place},,\\n" for place in [*files, f"{info}/RECORD"])
  wheel.writestr(f"{info}/RECORD", record)
`

export interface TestWheel {
  readonly name: string
  readonly version: string
  readonly tag?: string
  readonly source?: string
  readonly needs?: string
}

/** Builds a wheel in a folder. Returns its pinned, hashed line for a requirements file. */
export async function buildWheel(folder: string, wheel: TestWheel): Promise<string> {
  const { name, version, tag = 'py3-none-any', source = `__version__ = "${version}"\n`, needs = '' } = wheel
  await mkdir(folder, { recursive: true })
  const path = join(folder, `${name}-${version}-${tag}.whl`)
  execFileSync('/usr/bin/python3', ['-I', '-c', ZIP, path, name, version, tag, source, needs])
  const hash = createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
  return `${name}==${version} \\\n    --hash=sha256:${hash}\n`
}

/** A stand-in for Ray that is a real package, with another that it needs, and their requirements file. */
export async function buildRay(folder: string, version = '0.1.0'): Promise<string> {
  const lines = [
    await buildWheel(folder, { name: 'strand', version: '1.0' }),
    await buildWheel(folder, {
      name: 'ray',
      version,
      source: `import strand\n__version__ = "${version}"\n`,
      needs: 'strand',
    }),
  ]
  const file = join(folder, 'requirements.txt')
  await writeFile(file, lines.join(''))
  return file
}

/** Environment variables with which pip sees this folder's wheels and nothing else. */
export function onlyFrom(folder: string): Record<string, string | undefined> {
  const { PATH, HOME } = process.env
  return { PATH, HOME, PIP_CONFIG_FILE: '/dev/null', PIP_NO_INDEX: '1', PIP_FIND_LINKS: folder }
}
