import { RopewalkError } from '@ropewalk/shared/errors'
import type { Snapshot, TopologyLink } from '@ropewalk/shared/topology'
import type { Invocation } from '../invocation.ts'
import type { CommandSpec } from '../program.ts'
import { millisText } from '../text.ts'

export const topology: CommandSpec = {
  build: (command, run) =>
    command.option('--format <form>', 'table, json or dot').action((options: { format?: string }) =>
      run(async (cli) => {
        const form = options.format ?? (cli.json ? 'json' : 'table')
        if (form !== 'table' && form !== 'json' && form !== 'dot') {
          throw new RopewalkError('bad-usage', `--format is table, json or dot, not “${form}”`)
        }
        const snapshot = await (await cli.peer()).api.topology()
        if (form === 'json') cli.io.stdout.write(`${JSON.stringify(snapshot)}\n`)
        else cli.io.stdout.write(form === 'dot' ? dot(snapshot) : tables(cli, snapshot))
      }),
    ),
}

function tables(cli: Invocation, { nodes, links }: Snapshot): string {
  const name = namesOf({ nodes })
  const first = cli.table(
    ['NODE', 'STATE', 'ADDRESSES', 'SERVICES'],
    nodes.map((node) => [
      node.relay ? `${node.name} (relay)` : node.name,
      node.state,
      node.addresses.join(' '),
      node.services.map((service) => service.name).join(' '),
    ]),
  )
  const second = cli.table(
    ['LINK', 'STATE', 'PATH', 'RTT'],
    links.map((link) => [
      `${name(link.a)} – ${name(link.b)}`,
      link.state,
      pathText(link, name),
      millisText(link.rttMs ?? null),
    ]),
  )
  return second === '' ? first : `${first}\n${second}`
}

function pathText(link: TopologyLink, name: (id: string) => string): string {
  const via = link.endA?.via ?? link.endB?.via
  return via === undefined ? link.kind : `${link.kind} ${name(via)}`
}

function dot({ nodes, links }: Snapshot): string {
  const name = namesOf({ nodes })
  const quoted = (text: string) => JSON.stringify(text)
  const lines = nodes.map(
    (node) =>
      `  ${quoted(node.name)} [shape=${node.relay ? 'box' : 'ellipse'}${node.state === 'online' ? '' : ', style=dashed'}]`,
  )
  for (const link of links) {
    const style = link.state === 'down' ? ', style=dotted' : link.kind === 'direct' ? '' : ', style=dashed'
    lines.push(`  ${quoted(name(link.a))} -- ${quoted(name(link.b))} [label=${quoted(pathText(link, name))}${style}]`)
  }
  return `graph ropewalk {\n${lines.join('\n')}\n}\n`
}

function namesOf({ nodes }: Pick<Snapshot, 'nodes'>): (id: string) => string {
  const names = new Map(nodes.map((node) => [node.nodeId, node.name]))
  return (id) => names.get(id) ?? id
}
