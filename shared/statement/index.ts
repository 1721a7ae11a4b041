export {
  type Signers,
  type Statement,
  type StatementKind,
  type StatementOptions,
  statementHash,
  statementKind,
} from './statement.ts'
