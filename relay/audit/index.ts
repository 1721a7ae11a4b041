export { type Audit, type AuditDependencies, type AuditEvent, type AuditOptions, createAudit } from './audit.ts'
