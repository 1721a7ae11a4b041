export { makeSelfSigned, type TlsIdentity } from './self-signed.ts'
export { fingerprintOf, keepSelfSigned, readTlsFiles } from './tls-identity.ts'
