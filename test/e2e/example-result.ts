/** What every program of `examples/` prints at its end, on one line. */
export interface ExampleResult {
  readonly example: string
  /** How much each node computed, by Ray's id of the node. */
  readonly nodes: Readonly<Record<string, number>>
  readonly [field: string]: unknown
}

/** Finds it in what the program printed. @throws Error when it is not there */
export function exampleResult(output: string): ExampleResult {
  const line = output.split('\n').findLast((each) => each.startsWith('{"example":'))
  if (line === undefined) throw new Error(`the example printed no result: ${output}`)
  return JSON.parse(line) as ExampleResult
}
