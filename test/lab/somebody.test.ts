import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SOMEBODY, up, type World } from './index.ts'

describe('an ordinary user in a host', () => {
  let world: World
  beforeAll(async () => {
    world = await up('two-hosts')
  })
  afterAll(async () => world?.down())

  const asSomebody = async (script: string) => {
    const { stdout } = await world.node('b').exec('sh', ['-c', script], { as: 'somebody' })
    return stdout.trim()
  }

  test('has a name, a home of its own and no rights', async () => {
    expect(await asSomebody('id -un; id -u; echo $HOME; touch ~/mine && echo kept')).toBe(
      `${SOMEBODY.name}\n${SOMEBODY.uid}\n${SOMEBODY.home}\nkept`,
    )
    expect(await asSomebody('ip link add x type veth 2>&1; ip link set eth0 down 2>&1; true')).toMatch(
      /not permitted.*not permitted/s,
    )
  })

  test('lets others in by the stock sshd', async () => {
    const { home } = SOMEBODY
    await asSomebody(
      `ssh-keygen -q -t ed25519 -N "" -f ~/host && ssh-keygen -q -t ed25519 -N "" -f ~/key && cp ~/key.pub ~/allowed`,
    )
    const options = [
      `HostKey=${home}/host`,
      `AuthorizedKeysFile=${home}/allowed`,
      'UsePAM=no',
      'StrictModes=no',
      'PidFile=none',
    ]
    const sshd = world
      .node('b')
      .spawn('/usr/sbin/sshd', ['-D', '-e', '-f', '/dev/null', '-p', '2222', ...options.flatMap((o) => ['-o', o])], {
        as: 'somebody',
      })
    await sshd.says(/Server listening on 0/)
    const ssh = `ssh -F none -p 2222 -i ~/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes`
    expect(
      await asSomebody(`${ssh} ${SOMEBODY.name}@${world.node('b').address} 'id -un; echo $SSH_CONNECTION'`),
    ).toMatch(/^somebody\n10\.20\.0\.2 \d+ 10\.20\.0\.2 2222$/)
  })
})
