import { readdir } from 'node:fs/promises'
import type { LabNode } from '../lab/index.ts'

/** What a cage could leave behind on a host. */
export interface HostState {
  readonly processes: readonly string[]
  readonly rules: string
  readonly groups: readonly string[]
  readonly folder: readonly string[]
}

const GROUPS = `find /sys/fs/cgroup -maxdepth 5 -type d -name 'ropewalk-*'`

/** All of it, as the host sees it. */
export async function hostState(node: LabNode, folder: string): Promise<HostState> {
  const [processes, rules, groups] = await Promise.all([
    node.exec('ps', ['-eo', 'args=']),
    node.exec('nft', ['list', 'ruleset']),
    node.exec('sh', ['-c', GROUPS]),
  ])
  const lines = (text: string) => text.split('\n').filter((line) => line !== '')
  return {
    processes: lines(processes.stdout)
      .filter((line) => !/^(ps|nft|find|sh -c find|nsenter|env) |\[|<defunct>/.test(line))
      .sort(),
    rules: rules.stdout,
    groups: lines(groups.stdout),
    folder: await readdir(folder).catch(() => []),
  }
}
