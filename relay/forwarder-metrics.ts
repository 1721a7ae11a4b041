import type { Forwarder } from 'node-wireguard'
import { Counter, Gauge, type Registry } from 'prom-client'

type Totals = ReturnType<Forwarder['status']>['totals']

/** Declares what the packet forwarder counts. `status` is asked when somebody collects. */
export function registerForwarderMetrics(registry: Registry, status: () => ReturnType<Forwarder['status']>): void {
  const registers = [registry]
  new Gauge({
    name: 'ropewalk_forwarder_sessions',
    help: 'Pairs of members that may send through the forwarder',
    registers,
    collect() {
      this.set(status().sessions.filter(({ leftMs }) => leftMs > 0).length)
    },
  })
  const total = (name: string, help: string, pick: (totals: Totals) => number) =>
    new Counter({
      name: `ropewalk_forwarder_${name}_total`,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(pick(status().totals))
      },
    })
  total('packets', 'Datagrams that went on to the other member', ({ packets }) => packets)
  total('bytes', 'Their bytes, without the header of the forwarder', ({ bytes }) => bytes)
  total('dropped', 'Datagrams of members that did not go on', ({ dropped }) => dropped)
  total('stun_answers', 'STUN answers', ({ stun }) => stun)
  total('cookies', 'Cookies given to whoever wants to bind', ({ cookies }) => cookies)
  total('bound', 'Bindings done', ({ bound }) => bound)
  total('refused', 'Bindings refused', ({ refused }) => refused)
  total('limited', 'Questions over the limit of their network', ({ limited }) => limited)
  total('ignored', 'Datagrams that are none of ours', ({ ignored }) => ignored)
}
