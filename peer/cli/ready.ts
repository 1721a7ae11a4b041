import { spawn } from 'node:child_process'

/** Tells systemd, where it started us, that the service is ready (sd_notify; Node has no unix datagram sockets). */
export function notifyReady(env: Readonly<Record<string, string | undefined>>, status: string): void {
  if (env.NOTIFY_SOCKET === undefined) return
  const child = spawn('systemd-notify', ['--ready', `--status=${status}`], { stdio: 'ignore' })
  child.on('error', () => {}) // no systemd-notify: then the unit is not of type notify either
}
