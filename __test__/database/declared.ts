/**
 * The names of options, as packages declare them.
 */
import { fileURLToPath } from 'node:url'

import ts from 'typescript'

const root = new URL('../../', import.meta.url)

/**
 * The names that types have, as the compiler sees them; of a union those of all its parts.
 *
 * @param types - Expressions of TypeScript, by any name
 */
export function declaredNames(types: Record<string, string>): Record<string, string[]> {
  const path = fileURLToPath(new URL('__test__/database/declared_types.ts', root))
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
