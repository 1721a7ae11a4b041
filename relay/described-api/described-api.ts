import { Ajv2020 as Ajv, type AnySchemaObject, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'

interface Operation {
  readonly operationId: string
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { schema: object }>> }>>
}

/** The served OpenAPI document. */
export interface Document {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

/** Judges answers by the document that is served beside them. */
export class DescribedApi {
  readonly document: Document
  readonly #ajv: Ajv
  readonly #known = new Map<string, ValidateFunction>()

  constructor(document: Document) {
    this.document = document
    // the document holds schemas and is none itself: its own words would be unknown ones in strict mode
    this.#ajv = new Ajv({ strict: false, allErrors: true })
    // ajv-formats is CommonJS: its function is the module's default
    ;(formats as unknown as { default: (ajv: Ajv) => void }).default(this.#ajv)
    this.#ajv.addFormat('base64url', true)
    this.#ajv.addSchema({ ...document, $id: 'api' } as AnySchemaObject, 'api')
  }

  /** What is wrong with an answer; nothing when the document allows it. */
  faults(
    request: { method: string; url: string },
    answer: { statusCode: number; headers: object; body: string },
  ): string[] {
    const operation = this.#operation(request)
    if (operation === undefined) {
      // what no path describes is a problem all the same
      return answer.statusCode === 404 ? this.#against('#/components/schemas/Problem', answer.body) : ['not described']
    }
    const { template, method } = operation
    const responses = this.document.paths[template]?.[method]?.responses ?? {}
    const status = responses[String(answer.statusCode)] === undefined ? 'default' : String(answer.statusCode)
    const type = String(Object(answer.headers)['content-type'] ?? '').split(';')[0] ?? ''
    if (responses[status]?.content?.[type] === undefined) return [`${status} ${type} is not described`]
    if (!type.endsWith('json')) return []
    const pointer = ['', 'paths', template, method, 'responses', status, 'content', type, 'schema']
    return this.#against(
      `#${pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`,
      answer.body,
    )
  }

  /** What of the document's schemas is no schema of JSON Schema 2020-12. */
  schemaFaults(): string[] {
    const faults: string[] = []
    const visit = (value: unknown, place: string, isSchema: boolean) => {
      if (typeof value !== 'object' || value === null) return
      if (isSchema && this.#ajv.validateSchema(value) !== true) faults.push(`${place}: ${this.#ajv.errorsText()}`)
      if (isSchema) return
      for (const [name, part] of Object.entries(value))
        visit(part, `${place}/${name}`, name === 'schema' || place === '/components/schemas')
    }
    visit(this.document, '', false)
    return faults
  }

  #operation({ method, url }: { method: string; url: string }): { template: string; method: string } | undefined {
    const path = url.split('?')[0] ?? ''
    const match = Object.keys(this.document.paths)
      .filter((template) =>
        new RegExp(`^${template.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path),
      )
      .sort((a, b) => Number(a.includes('{')) - Number(b.includes('{')))[0]
    const known = method.toLowerCase()
    return match === undefined || this.document.paths[match]?.[known] === undefined
      ? undefined
      : { template: match, method: known }
  }

  #against(pointer: string, body: string): string[] {
    const validate = this.#known.get(pointer) ?? this.#ajv.compile({ $ref: `api${pointer}` })
    this.#known.set(pointer, validate)
    return validate(JSON.parse(body)) ? [] : (validate.errors ?? []).map((one) => `${one.instancePath} ${one.message}`)
  }
}
