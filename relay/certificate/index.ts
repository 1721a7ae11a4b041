export { makeSelfSigned } from './self-signed.ts'
export { fingerprintOf, keepSelfSigned, readTlsFiles, type TlsIdentity } from './tls-identity.ts'
