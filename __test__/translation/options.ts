/**
 * Options of other packages: as the packages declare them, as the code's tables have them, as the documentation shows them.
 */
import { fileURLToPath } from 'node:url'

import ts from 'typescript'

import type { OptionRow } from '../../lib/drivers/translation/rows.js'

const root = new URL('../../', import.meta.url)

/**
 * The names that types have, as the compiler sees them; of a union those of all its parts.
 *
 * @param types - Expressions of TypeScript, by any name
 */
export function declaredNames(types: Record<string, string>): Record<string, string[]> {
  const path = fileURLToPath(new URL('__test__/translation/declared_types.ts', root))
  const text = Object.entries(types)
    .map(([name, type]) => `export type ${name} = ${type}`)
    .join('\n')
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    strict: true,
    skipLibCheck: true,
    types: ['node'],
  }
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists } = host
  host.fileExists = (file) => file === path || fileExists(file)
  host.getSourceFile = (file, ...rest) =>
    file === path
      ? ts.createSourceFile(file, text, ts.ScriptTarget.ES2022)
      : getSourceFile(file, ...rest)
  const program = ts.createProgram([path], options, host)
  const source = program.getSourceFile(path)!
  const [problem] = program.getSemanticDiagnostics(source)
  if (problem) throw new Error(ts.flattenDiagnosticMessageText(problem.messageText, '\n'))
  const checker = program.getTypeChecker()
  return Object.fromEntries(
    source.statements.filter(ts.isTypeAliasDeclaration).map((alias) => {
      const type = checker.getTypeAtLocation(alias)
      const parts = type.isUnion() ? type.types : [type]
      const names = parts
        .filter((part) => part.flags & ts.TypeFlags.Object || part.isIntersection())
        .flatMap((part) => part.getProperties().map(({ name }) => name))
      return [alias.name.text, [...new Set(names)]]
    })
  )
}

/** What is said in the tables of a page, by the heading above them: option, fate and reason. */
export function tablesOf(page: string): Map<string, string[][]> {
  const tables = new Map<string, string[][]>()
  let heading = ''
  for (const line of page.split('\n')) {
    if (line.startsWith('#')) heading = line.replace(/^#+\s*/, '')
    const cells = line.split('|').map((cell) => cell.trim())
    const isRow = /^\| `/.test(line) && cells.length === 5
    if (isRow) tables.set(heading, [...(tables.get(heading) ?? []), cells.slice(1, -1)])
  }
  return tables
}

/** The options of a table; those of one fate, if it is given. */
export function namesIn(rows: readonly OptionRow[], fate?: OptionRow['fate']): string[] {
  return rows.filter((row) => fate === undefined || row.fate === fate).map(({ option }) => option)
}

/** Options, and what the settings contain then; a text is part of the reason why they can't be carried over. */
export interface CarriedCase {
  option: string
  given: object
  expected: object | string
  keyPrefix?: string
}

/** What becomes of one option, beside others if there have to be some. */
export function one(
  option: string,
  value: unknown,
  expected: object | string,
  others: object = {}
): CarriedCase {
  return { option, given: { ...others, [option]: value }, expected }
}
