import { RopewalkError } from '@ropewalk/shared/errors'

/** A local port and what it leads to on the worker. */
export interface PortMapping {
  readonly localPort: number
  /** A service's name or a port, as streams ask for it. */
  readonly service: string
}

/** Most local ports of one forward. */
const MAX_PORTS = 1024

/**
 * What `ropewalk forward` takes: `8888`, `9000:8888`, `9000:jupyter`, `6006-6010`, `7000-7004:6006-6010`.
 * @throws RopewalkError `bad-usage`, and `unsupported` for `/udp`
 */
export function parsePorts(specs: readonly string[]): PortMapping[] {
  const mappings = specs.flatMap(parseSpec)
  if (mappings.length === 0) throw wrong('', 'name at least one port')
  if (mappings.length > MAX_PORTS) throw wrong('', `at most ${MAX_PORTS} ports at once`)
  const seen = new Set<number>()
  for (const { localPort } of mappings) {
    if (seen.has(localPort)) throw wrong(String(localPort), 'a local port leads to one place only')
    seen.add(localPort)
  }
  return mappings
}

function parseSpec(spec: string): PortMapping[] {
  if (spec.endsWith('/udp')) {
    throw new RopewalkError('unsupported', 'UDP is not forwarded yet', {
      hint: 'reach the worker’s mesh address directly; the mesh carries UDP',
    })
  }
  const [left = '', right, ...more] = spec.replace(/\/tcp$/, '').split(':')
  if (more.length > 0) throw wrong(spec, 'write LOCAL:REMOTE')
  const local = parseRange(left)
  if (local === undefined) throw wrong(spec, 'write a port, a range, or LOCAL:REMOTE')
  if (right === undefined) return local.map((port) => ({ localPort: port, service: String(port) }))
  const remote = parseRange(right)
  if (remote === undefined) {
    const [only] = local
    if (local.length === 1 && only !== undefined && /^[a-z][a-z0-9-]{0,31}$/.test(right)) {
      return [{ localPort: only, service: right }]
    }
    throw wrong(spec, 'write a port, a range or a service behind the colon')
  }
  if (remote.length !== local.length) throw wrong(spec, 'both ranges must be of the same length')
  return local.map((port, index) => ({ localPort: port, service: String(remote[index]) }))
}

function parseRange(text: string): number[] | undefined {
  const found = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text)
  if (found === null) return undefined
  const from = Number(found[1])
  const to = Number(found[2] ?? found[1])
  if (from < 1 || to > 65_535 || to < from) return undefined
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}

function wrong(spec: string, hint: string): RopewalkError {
  const what = spec === '' ? 'These ports' : `“${spec.slice(0, 40)}”`
  return new RopewalkError('bad-usage', `${what} cannot be forwarded`, { hint })
}
