// Makes what is published, beside what this repository works with (the `.ts` as it is):
//   node pack.mjs [FOLDER [PLATFORM…]]    stages packages in FOLDER (prebuilt/) and packs each: the face as JavaScript with its
//                    declarations and the sources to fall back on; and this platform's engine and programs, which the first depends
//                    on optionally; and those of each PLATFORM that `build.mjs --platform` has built
// Prints the tarballs' paths. Run build.mjs before: what lies beside the face is what is shipped.
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { LIBRARY, PLATFORMS, PROGRAMS, platform } from './binaries.mjs'

const here = import.meta.dirname
const [target = join(here, 'prebuilt'), ...others] = process.argv.slice(2)
const stage = resolve(target)
const manifest = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'))
const { name, version, description, license, type, engines, keywords } = manifest
const common = { version, license, engines }
const licenseFile = join(dirname(here), 'LICENSE')
const COMMANDS = PROGRAMS.filter(({ command }) => command)
/** What `build.mjs --if-missing` needs on a platform that is not published. */
const SOURCES = ['build.mjs', 'binaries.mjs', 'build.rs', 'Cargo.toml', 'Cargo.lock', 'src', 'benches']

const mine = platform()
if (mine === undefined) fail(`${process.platform} ${process.arch} is not among the platforms of binaries.mjs`)
if (!existsSync(join(here, 'engine.node'))) fail('the engine is not built; run node build.mjs first')

const folders = [stageFace(join(stage, name)), stagePlatform(mine, { engine: here, library: 'engine.node' })]
for (const each of others) {
  const other = PLATFORMS.find((known) => known.name === each)
  if (other === undefined) fail(`${each} is not among the platforms of binaries.mjs`)
  const engine = join(process.env.CARGO_TARGET_DIR ?? join(here, 'target'), other.rust, 'release')
  if (!existsSync(join(engine, LIBRARY))) fail(`${each} is not built; run node build.mjs --platform ${each} first`)
  folders.push(stagePlatform(other, { engine, library: LIBRARY }))
}
for (const folder of folders) {
  const packed = run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', stage], folder)
  console.log(join(stage, JSON.parse(packed)[0].filename))
}

function stageFace(folder) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(join(folder, 'dist'), { recursive: true })
  const tsc = createRequire(import.meta.url).resolve('typescript/lib/tsc.js')
  run(process.execPath, [tsc, '--project', join(here, 'tsconfig.pack.json'), '--outDir', join(folder, 'dist')], here)
  for (const each of readdirSync(join(folder, 'dist')))
    if (each.endsWith('.d.ts')) nameScripts(join(folder, 'dist', each))
  for (const each of SOURCES)
    if (existsSync(join(here, each))) cpSync(join(here, each), join(folder, each), { recursive: true })
  for (const each of ['README.md', 'docs']) cpSync(join(here, each), join(folder, each), { recursive: true })
  cpSync(licenseFile, join(folder, 'LICENSE'))
  for (const each of COMMANDS)
    writeFileSync(join(folder, 'dist', `${each.name}.mjs`), commandOf(each.name), { mode: 0o755 })
  writeManifest(folder, {
    name,
    ...common,
    description,
    keywords,
    type,
    exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' }, './package.json': './package.json' },
    bin: Object.fromEntries(COMMANDS.map((each) => [each.name, `dist/${each.name}.mjs`])),
    scripts: { install: 'node build.mjs --if-missing' },
    peerDependencies: { '@types/node': '>=24' },
    peerDependenciesMeta: { '@types/node': { optional: true } },
    optionalDependencies: Object.fromEntries(PLATFORMS.map((each) => [`${name}-${each.name}`, version])),
  })
  return folder
}

/** tsc rewrites the imports of scripts, not those of declarations. */
function nameScripts(declaration) {
  const text = readFileSync(declaration, 'utf8')
  writeFileSync(declaration, text.replace(/(from |import\()(['"])(\.\/[\w-]+)\.ts\2/g, '$1$2$3.js$2'))
}

/** `library` and the programs lie in the folder `engine`. */
function stagePlatform({ name: suffix, os, cpu, libc }, { engine, library }) {
  const folder = join(stage, `${name}-${suffix}`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const programs = PROGRAMS.map((each) => [each.name, each.name])
  for (const [from, each] of [[library, 'engine.node'], ...programs]) {
    cpSync(join(engine, from), join(folder, each))
    chmodSync(join(folder, each), 0o755)
    // debug lines are nine tenths of the size; where binutils are missing they stay
    spawnSync('strip', ['--strip-debug', join(folder, each)])
  }
  cpSync(licenseFile, join(folder, 'LICENSE'))
  writeFileSync(
    join(folder, 'README.md'),
    `The engine of [${name}](https://www.npmjs.com/package/${name}) for ${suffix}.\n`,
  )
  const description = `The engine of ${name} for ${suffix}`
  writeManifest(folder, { name: `${name}-${suffix}`, ...common, description, os: [os], cpu: [cpu], libc: [libc] })
  return folder
}

/** A command of npm is a script; this one finds the program beside the engine and becomes it, where Node can do that. */
function commandOf(program) {
  return `#!/usr/bin/env node
import { spawnSync } from 'node:child_process'
import { constants } from 'node:os'
import { programPath } from './native.js'

const path = programPath('${program}')
process.removeAllListeners('warning') // execve is new, and says so
try {
  process.execve?.(path, [path, ...process.argv.slice(2)])
} catch {}
const { status, signal, error } = spawnSync(path, process.argv.slice(2), { stdio: 'inherit' })
if (error) console.error(\`${program}: \${error.message}\`)
process.exitCode = status ?? (signal === null ? 127 : 128 + constants.signals[signal])
`
}

function writeManifest(folder, content) {
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(content, null, 2)}\n`)
}

function run(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8' })
  if (status !== 0) fail(`${[command, ...args].join(' ')} failed: ${error?.message ?? `${stdout}${stderr}`}`)
  return stdout
}

function fail(sentence) {
  console.error(`node-wireguard: ${sentence}`)
  process.exit(1)
}
