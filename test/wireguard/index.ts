export type { SentPath } from './device-call.ts'
export { DEVICE, type End, type EndOptions, type Remote } from './end.ts'
export { type KeyPair, makeKeyPair } from './keys.ts'
export { type OurEnd, startOurs } from './ours.ts'
export {
  boringtun,
  exists,
  goVersion,
  missingBecause,
  type Rival,
  rivalsFolder,
  runGo,
  wireguardGo,
  wireguardGoDebian,
} from './rivals.ts'
export { setUpByWg } from './set-up.ts'
export { startWireguardGo } from './wireguard-go.ts'
