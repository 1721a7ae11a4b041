import { readdir, readFile } from 'node:fs/promises'

/** USER_HZ: what /proc counts in, the same on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

/** User and system time of a process so far, all threads together, as the kernel accounts it: softirq work is charged to
 *  whoever ran when it came. */
export async function cpuSeconds(pid: number): Promise<number> {
  return ofStat(await readFile(`/proc/${pid}/stat`, 'utf8')).seconds
}

/** The same for each thread, by name; threads of one name are added. */
export async function cpuSecondsByThread(pid: number): Promise<Record<string, number>> {
  const result: Record<string, number> = {}
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const { name, seconds } = ofStat(await readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8'))
    result[name] = (result[name] ?? 0) + seconds
  }
  return result
}

function ofStat(line: string): { name: string; seconds: number } {
  const end = line.lastIndexOf(')') // the name before may hold spaces and brackets
  const fields = line.slice(end + 2).split(' ')
  return {
    name: line.slice(line.indexOf('(') + 1, end),
    seconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
  }
}

/** Time of all cores but the idle, of the whole machine: how busy it is with others. */
export async function machineBusySeconds(): Promise<number> {
  const [line = ''] = (await readFile('/proc/stat', 'utf8')).split('\n')
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line.split(/\s+/).slice(1).map(Number)
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND
}
