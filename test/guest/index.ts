export { type DeviceProcess, deviceFiles, type GuestDevice, sent, startDevices } from './device.ts'
export { type Guest, type GuestOptions, startGuest } from './guest.ts'
export { guestRefusal } from './refusal.ts'
export { startLinux } from './wireguard.ts'
