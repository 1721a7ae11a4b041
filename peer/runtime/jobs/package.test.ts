import { execFileSync } from 'node:child_process'
import { appendFile, chmod, mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createLogger } from '@ropewalk/shared/logger'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readPackage, writePackage } from './package.ts'
import { listTree } from './working-dir.ts'

const logger = createLogger({ level: 'silent', destination: process.stderr })
const signal = AbortSignal.timeout(120_000)
const options = { maxBytes: 1_000_000, signal, logger }
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rw-package-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function plant(root: string, files: Readonly<Record<string, string>>): Promise<string> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  return root
}
const paths = async (root: string): Promise<string[]> => (await listTree(root, options)).map(({ path }) => path)
const nameOf = async (root: string): Promise<string> => (await readPackage(root, options)).name

test('the same tree is the same package, byte for byte, wherever and whenever it was written', async () => {
  const files = { 'a.py': '1', 'b/c.py': '2', 'b/d': '' }
  const one = await plant(join(folder, 'one'), files)
  const two = await plant(join(folder, 'two'), Object.fromEntries(Object.entries(files).reverse()))
  await utimes(join(two, 'a.py'), 1, 1)
  const [first, second] = await Promise.all([one, two].map((root) => readPackage(root, options)))
  if (first === undefined || second === undefined) throw new Error('nothing was read')
  expect(first.name).toMatch(/^[0-9a-f]{40}$/)
  expect(second.name).toBe(first.name)
  await writePackage(first, join(folder, '1.zip'), signal)
  await writePackage(second, join(folder, '2.zip'), signal)
  execFileSync('cmp', [join(folder, '1.zip'), join(folder, '2.zip')])
  const names = new Set([first.name])
  await chmod(join(two, 'a.py'), 0o755)
  names.add(await nameOf(two))
  await rename(join(two, 'b/d'), join(two, 'b/e'))
  names.add(await nameOf(two))
  await mkdir(join(two, 'empty'))
  names.add(await nameOf(two))
  await appendFile(join(two, 'b/c.py'), ' ')
  names.add(await nameOf(two))
  expect(names.size, 'permission, name, empty folder and content each make another package').toBe(5)
})

test('a file that changes while it is packed is told', async () => {
  const root = await plant(join(folder, 'tree'), { 'a.py': 'x'.repeat(1_000) })
  const read = await readPackage(root, options)
  await writeFile(join(root, 'a.py'), 'y'.repeat(1_000))
  await expect(writePackage(read, join(folder, 'p.zip'), signal)).rejects.toMatchObject({ code: 'conflict' })
  await rm(join(root, 'a.py'))
  await expect(writePackage(read, join(folder, 'p.zip'), signal)).rejects.toMatchObject({ code: 'not-found' })
})

test('.git, virtual environments and compiled modules never go along', async () => {
  const root = await plant(join(folder, 'tree'), {
    'main.py': '',
    '.git/config': 'token',
    'sub/.git': 'gitdir: elsewhere',
    '.venv/bin/python': '',
    'sub/__pycache__/a.pyc': '',
    'sub/a.py': '',
    '.gitignore': '!.git\n!.venv\n',
  })
  expect(await paths(root)).toEqual(['.gitignore', 'main.py', 'sub/a.py'])
})

test('.rayignore leaves out as .gitignore does, and neither brings back what the other left out', async () => {
  const root = await plant(join(folder, 'tree'), {
    '.gitignore': '*.log\n',
    '.rayignore': '!a.log\n/data/\n',
    'a.log': '',
    'data/x': '',
    'sub/data/x': '',
    'sub/.rayignore': 'data\n!data/\nx\n',
    'sub/y': '',
  })
  expect(await paths(root)).toEqual(['.gitignore', '.rayignore', 'sub/.rayignore', 'sub/y'])
})

test('a link counts as what it leads to, if that is a part of the tree', async () => {
  const root = await plant(join(folder, 'tree'), { 'a/x': 'text', '.git/config': 'token' })
  await plant(join(folder, 'outside'), { secret: 's' })
  await symlink('a', join(root, 'b'))
  await symlink('a/x', join(root, 'c'))
  await symlink('nowhere', join(root, 'd'))
  expect(await paths(root)).toEqual(['a/x', 'b/x', 'c'])
  const refused: [string, string][] = [
    ['../outside/secret', 'leads out of the working directory'],
    ['../outside', 'leads out of the working directory'],
    ['/etc/passwd', 'leads out of the working directory'],
    ['..', 'leads out of the working directory'],
    ['.', 'a folder that it stands in'],
    ['.git/config', 'leads into .git'],
  ]
  for (const [target, says] of refused) {
    await symlink(target, join(root, 'e'))
    await expect(listTree(root, options), target).rejects.toMatchObject({
      code: 'bad-input',
      message: expect.stringContaining(says),
    })
    await writeFile(join(root, '.rayignore'), '/e\n')
    expect(await paths(root)).toContain('a/x')
    await rm(join(root, '.rayignore'))
    await rm(join(root, 'e'))
  }
})

test('what is too much, too strange or not there is refused with the reason', async () => {
  const root = await plant(join(folder, 'tree'), { a: 'x'.repeat(600), b: 'x'.repeat(600) })
  await expect(listTree(root, { ...options, maxBytes: 1_000 })).rejects.toMatchObject({ code: 'too-large' })
  await expect(listTree(join(root, 'a'), options)).rejects.toMatchObject({ code: 'bad-input' })
  await expect(listTree(join(root, 'none'), options)).rejects.toMatchObject({ code: 'not-found' })
  await plant(root, { 'back\\slash': '' })
  await expect(listTree(root, options)).rejects.toMatchObject({ code: 'bad-input' })
})

test('git itself leaves out the same files, for any rules', async () => {
  const name = fc.constantFrom('a', 'b', 'c.log', 'd e', 'B')
  const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
  const rule = fc
    .tuple(
      fc.constantFrom('', '', '!'),
      fc.constantFrom('', '', '/', '**/'),
      fc.oneof(name, path, fc.constantFrom('*', '*.log', '?', '[ab]', 'a/*', '**', 'd\\ e')),
      fc.constantFrom('', '', '/', '/**'),
    )
    .map((parts) => parts.join(''))
  const rules = fc.array(rule, { minLength: 1, maxLength: 5 }).map((lines) => `${lines.join('\n')}\n`)
  const tree = fc.record({
    files: fc.array(path, { minLength: 1, maxLength: 8 }),
    ignores: fc.dictionary(fc.constantFrom('.gitignore', 'a/.gitignore', 'b/a/.gitignore'), rules, { maxKeys: 3 }),
  })
  let run = 0
  const property = fc.asyncProperty(tree, async ({ files, ignores }) => {
    run += 1
    const root = join(folder, String(run))
    await mkdir(root)
    execFileSync('git', ['init', '-q', root])
    for (const [file, text] of [...files.map((each): [string, string] => [each, '']), ...Object.entries(ignores)])
      await plant(root, { [file]: text }).catch(() => {}) // one name is wanted as a file and as a folder
    const listed = execFileSync('git', ['-C', root, 'ls-files', '-z', '--others', '--exclude-standard'], {
      encoding: 'utf8',
    })
    const wanted = listed.split('\0').filter((each) => each !== '')
    expect((await paths(root)).filter((each) => !each.endsWith('/'))).toEqual(wanted.sort())
  })
  await fc.assert(property, { numRuns: 150 })
}, 120_000)
