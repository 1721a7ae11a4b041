import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { beforeAll, describe, expect, test } from 'vitest'

const folder = join(import.meta.dirname, '..')
const face = join(folder, 'index.ts')
const document = readFileSync(join(folder, 'docs/api.md'), 'utf8')
const sections = new Map(
  document
    .split(/^### /m)
    .slice(1)
    .map((text): [string, string] => [text.slice(0, text.indexOf('\n')).trim(), text.split(/^## /m)[0] ?? '']),
)

/** Words in code marks, without what a call is given: `close()` says `close`, `Device.open(options)` says `open`. */
const words = (text: string) =>
  [...text.matchAll(/`([^`]+)`/g)].map(([, word = '']) => /^(?:\w+\.)?([\w-]+)/.exec(word)?.[1] ?? word)

describe('the API reference', { timeout: 60_000 }, () => {
  let checker: ts.TypeChecker
  let exported: ts.Symbol[]

  beforeAll(() => {
    const config = ts.readConfigFile(join(folder, '../tsconfig.json'), ts.sys.readFile)
    const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, join(folder, '..'))
    const program = ts.createProgram([face], options)
    checker = program.getTypeChecker()
    const source = program.getSourceFile(face)
    const module = source && checker.getSymbolAtLocation(source)
    if (module === undefined) throw new Error('index.ts could not be read')
    exported = checker.getExportsOfModule(module)
  }, 60_000)

  const find = (name: string) => {
    const symbol = exported.find((each) => each.name === name)
    if (symbol === undefined) throw new Error(`${name} is not exported`)
    return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
  }

  const isOurs = (member: ts.Symbol) =>
    (member.declarations ?? []).every(({ parent }) => parent.getSourceFile().fileName.startsWith(folder)) &&
    !member.name.startsWith('__') &&
    !/^_|#/.test(member.name) &&
    !ts
      .getJSDocTags(member.declarations?.[0] ?? ts.factory.createIdentifier(''))
      .some((tag) => tag.tagName.text === 'internal')

  test('has a section for each export, and for nothing else', () => {
    expect([...sections.keys()].sort()).toEqual(exported.map(({ name }) => name).sort())
  })

  test('names each member of each exported type in its section', () => {
    let looked = 0
    const missing = exported.flatMap(({ name }) => {
      const symbol = find(name)
      if ((symbol.flags & ts.SymbolFlags.Type) === 0) return []
      const type = checker.getDeclaredTypeOfSymbol(symbol)
      const parts = type.isUnion() ? type.types : [type]
      const members = parts
        .filter((part) => (part.flags & ts.TypeFlags.Object) !== 0 || part.isIntersection())
        .flatMap((part) => checker.getPropertiesOfType(part))
        .filter(isOurs)
      const text = sections.get(name) ?? ''
      looked += members.length
      return members
        .filter((member) => !new RegExp(`\\b${member.name}\\b`).test(text))
        .map((member) => `${name}.${member.name}`)
    })
    expect(missing).toEqual([])
    expect(looked).toBeGreaterThan(100)
  })

  test.each(['WireguardErrorCode', 'PathState', 'ScheduleMode', 'SpliceFault'])('lists each value of %s', (name) => {
    const type = checker.getDeclaredTypeOfSymbol(find(name))
    const values = (type.isUnion() ? type.types : []).map((each) => (each.isStringLiteral() ? each.value : ''))
    const text = sections.get(name) ?? ''
    expect(values.length).toBeGreaterThan(2)
    expect(values.filter((value) => !text.includes(value))).toEqual([])
  })

  test('lists no error code that there is not', () => {
    const type = checker.getDeclaredTypeOfSymbol(find('WireguardErrorCode'))
    const values = (type.isUnion() ? type.types : []).map((each) => (each.isStringLiteral() ? each.value : ''))
    const rows = [...document.matchAll(/^\| `(ERR_WIREGUARD_\w+)`/gm)].map(([, code = '']) => code)
    expect(rows.sort()).toEqual(values.sort())
  })

  test('lists each event with its fields', () => {
    const type = checker.getDeclaredTypeOfSymbol(find('DeviceEvent'))
    const rows = new Map(
      [
        ...((sections.get('DeviceEvent') ?? '').split(/^\|---.*\n/m)[1]?.matchAll(/^\| `([\w-]+)` \| ([^|]*) \|/gm) ??
          []),
      ].map(([, event = '', fields = '']) => [event, words(fields).sort()]),
    )
    const events = (type.isUnion() ? type.types : []).map((each) => {
      const kind = each.getProperty('type')
      const name = kind && checker.getTypeOfSymbol(kind)
      const fields = each
        .getProperties()
        .map((field) => field.name)
        .filter((field) => field !== 'type')
      return [name?.isStringLiteral() ? name.value : '', fields.sort()] as const
    })
    expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(events))
  })
})
