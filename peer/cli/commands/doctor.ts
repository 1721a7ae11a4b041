import { spawnSync } from 'node:child_process'
import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { messageOf, RopewalkError, toRopewalkError } from '@ropewalk/shared/errors'
import { openState, requireNetwork } from '../../state/index.ts'
import type { Invocation } from '../invocation.ts'
import type { CommandSpec } from '../program.ts'

interface Finding {
  readonly check: string
  readonly state: 'good' | 'bad' | 'note'
  readonly message: string
  readonly hint?: string
}

export const doctor: CommandSpec = {
  build: (command, run) =>
    command.action(() =>
      run(async (cli) => {
        const findings = [
          await stateFolder(cli),
          await tun(cli),
          userNamespaces(),
          sshProgram(),
          ...(await running(cli)),
        ]
        cli.print({ version: 1, findings }, () => findings.map(findingText).join(''))
        const bad = findings.filter(({ state }) => state === 'bad')
        if (bad.length > 0)
          throw new RopewalkError('bad-config', `${bad.length} of ${findings.length} checks found something wrong`)
      }),
    ),
}

function findingText({ check, state, message, hint }: Finding): string {
  const mark = { good: 'ok  ', bad: 'BAD ', note: 'note' }[state]
  return `${mark}  ${check}: ${message}\n${hint === undefined ? '' : `      try: ${hint}\n`}`
}

async function stateFolder(cli: Invocation): Promise<Finding> {
  const check = 'state folder'
  try {
    await access(cli.stateFolder, constants.R_OK | constants.W_OK)
    const { mode } = await stat(cli.stateFolder)
    if ((mode & 0o077) !== 0) {
      return {
        check,
        state: 'bad',
        message: `${cli.stateFolder} is open to others`,
        hint: `chmod 700 ${cli.stateFolder}`,
      }
    }
    const network = await requireNetwork(await openState(cli.stateFolder))
    return { check, state: 'good', message: `${cli.stateFolder} holds the network ${network.name}` }
  } catch (error) {
    const { message, hint } = toRopewalkError(error)
    return { check, state: 'bad', message, hint: hint ?? 'ropewalk up --ticket-file FILE' }
  }
}

async function tun(cli: Invocation): Promise<Finding> {
  const check = 'interface'
  try {
    await access('/dev/net/tun', constants.R_OK | constants.W_OK)
    if (cli.io.userId === 0) return { check, state: 'good', message: '/dev/net/tun can be used' }
    return {
      check,
      state: 'note',
      message: 'without root the peer runs rootless: members reach what you expose, programs here use forward and ssh',
    }
  } catch {
    return { check, state: 'note', message: '/dev/net/tun is not there: the peer runs with --rootless only' }
  }
}

function userNamespaces(): Finding {
  const { status } = spawnSync('unshare', ['-Urn', 'true'], { stdio: 'ignore' })
  const check = 'private namespace'
  if (status === 0) return { check, state: 'good', message: 'allowed: the rootless mode uses the kernel' }
  return { check, state: 'note', message: 'not allowed: the rootless mode carries TCP itself, which is slower' }
}

function sshProgram(): Finding {
  const { error, stderr } = spawnSync('ssh', ['-V'], { encoding: 'utf8' })
  const check = 'ssh'
  if (error !== undefined)
    return { check, state: 'note', message: 'no ssh program here', hint: 'install openssh-client' }
  return { check, state: 'good', message: stderr.trim() }
}

async function running(cli: Invocation): Promise<Finding[]> {
  try {
    const { self, relays, peers, warnings } = await (await cli.peer()).api.status()
    return [
      {
        check: 'peer',
        state: 'good',
        message: `${self.name} runs in ${self.mode} mode; ${peers.online} of ${peers.known} members are online`,
      },
      ...relays.map(
        ({ name, url, state }): Finding =>
          state === 'connected'
            ? { check: 'relay', state: 'good', message: `${name} is connected` }
            : {
                check: 'relay',
                state: 'bad',
                message: `${name} (${url}) is ${state}`,
                hint: 'see that this machine may reach that port, and that the relay runs',
              },
      ),
      ...warnings.map(({ code, message, hint }): Finding => ({ check: code, state: 'bad', message, hint })),
    ]
  } catch (error) {
    const { hint } = toRopewalkError(error)
    return [{ check: 'peer', state: 'bad', message: messageOf(error), ...(hint === undefined ? {} : { hint }) }]
  }
}
