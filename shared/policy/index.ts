export { type AddressedParty, compileFilter, type FilterInput, type FilterRule } from './compile.ts'
export {
  type AccessRequest,
  type Decision,
  evaluate,
  explain,
  type Grant,
  type Party,
  type Target,
  type Wanted,
} from './evaluate.ts'
export {
  DEFAULT_POLICY,
  type Policy,
  type PortSpan,
  type Protocol,
  policySchema,
  portSchema,
  portSpanSchema,
  protocolSchema,
  type Rule,
  readPolicy,
  ruleSchema,
  SERVICE_NAME,
  type Service,
  selectorSchema,
  serviceNameSchema,
  serviceSchema,
} from './schema.ts'
