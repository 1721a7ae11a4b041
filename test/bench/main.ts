// npm run bench -- NAME [--json] [--rounds N] | --list: our figures beside others', from one run.
import { parseArgs } from 'node:util'
import type { Bench } from './bench.ts'
import { flood } from './flood.ts'
import { forwarder } from './forwarder.ts'
import { pathFailover } from './path-failover.ts'
import { formatTable, makeReport } from './report.ts'
import { rootlessTcp } from './rootless-tcp.ts'
import { runRounds } from './rounds.ts'
import { tunCpu } from './tun-cpu.ts'
import { tunRtt } from './tun-rtt.ts'
import { tunTcp } from './tun-tcp.ts'
import { tunTcpJumbo } from './tun-tcp-jumbo.ts'
import { tunUdpSmall } from './tun-udp-small.ts'
import { tunnelTcp } from './tunnel-tcp.ts'

const benches: readonly Bench[] = [
  tunTcp,
  tunTcpJumbo,
  tunUdpSmall,
  tunRtt,
  tunCpu,
  rootlessTcp,
  tunnelTcp,
  forwarder,
  pathFailover,
  flood,
]
const USAGE = 'usage: npm run bench -- NAME [--json] [--rounds N] | --list'
const ROUNDS = 5

process.exitCode = await main()

async function main(): Promise<number> {
  const { values, positionals } = parse()
  if (values.list) {
    for (const { name, about } of benches) console.log(`${name.padEnd(14)} ${about}`)
    return 0
  }
  const bench = benches.find((each) => each.name === positionals[0])
  const rounds = Number(values.rounds ?? bench?.rounds ?? ROUNDS)
  if (bench === undefined || positionals.length !== 1 || !Number.isInteger(rounds) || rounds < 1) return wrong()
  if (process.getuid?.() !== 0) {
    console.error(
      'bench: network namespaces of the machine itself are needed\ntry: run as root, or under unshare -Urnm',
    )
    return 1
  }
  const report = makeReport(bench, await runRounds(bench, rounds, (line) => console.error(line)))
  console.log(values.json ? JSON.stringify(report) : formatTable(report))
  return 0
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { json: { type: 'boolean' }, list: { type: 'boolean' }, rounds: { type: 'string' } },
    })
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`)
    process.exit(wrong())
  }
}

function wrong(): number {
  console.error(`${USAGE}\nbenches: ${benches.map((bench) => bench.name).join(', ')}`)
  return 2
}
