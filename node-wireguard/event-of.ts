import { WireguardError } from './errors.ts'
import type { DeviceEvent } from './events.ts'
import type { NativeEvent } from './native.ts'

/** The engine's fields are those of the event; only a failure becomes an error of ours. */
export function eventOf(event: NativeEvent): DeviceEvent {
  if (event.type === 'error') {
    return { type: 'error', error: new WireguardError('ERR_WIREGUARD_FAILED', event.message ?? '') }
  }
  return event as DeviceEvent
}
