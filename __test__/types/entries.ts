/**
 * What the entries of a package export, as the compiler sees it.
 */
import ts from 'typescript'
import type { Consumer } from './consumer.js'

/** A class is all of them; an interface is a type only. */
export interface Export {
  isValue: boolean
  isType: boolean
  /** The public members of a class or an interface, or of the type of a value. */
  members: string[]
}

/** The exports of modules by their names. `undefined` for a module that isn't there. */
export async function exportsOf(consumer: Consumer, modules: string[]) {
  const lines = modules.map((name, index) => `import * as module${index} from '${name}'`)
  await consumer.write('entries.ts', lines.join('\n'))
  const { program } = consumer.compiler(['entries.ts'], { skipLibCheck: true })
  const checker = program.getTypeChecker()
  const imports = program.getSourceFile(consumer.path('entries.ts'))!.statements

  return new Map(
    modules.map((name, index) => {
      const { moduleSpecifier } = imports[index] as ts.ImportDeclaration
      const symbol = checker.getSymbolAtLocation(moduleSpecifier)
      return [name, symbol && describeModule(checker, symbol)]
    })
  )
}

function describeModule(checker: ts.TypeChecker, symbol: ts.Symbol): Map<string, Export> {
  return new Map(
    checker.getExportsOfModule(symbol).map((entry) => [entry.name, describe(checker, entry)])
  )
}

function describe(checker: ts.TypeChecker, entry: ts.Symbol): Export {
  const symbol = entry.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(entry) : entry
  const isValue = (symbol.flags & ts.SymbolFlags.Value) !== 0
  const isType = (symbol.flags & ts.SymbolFlags.Type) !== 0
  const type = isType ? checker.getDeclaredTypeOfSymbol(symbol) : checker.getTypeOfSymbol(symbol)
  const members = checker.getPropertiesOfType(type).filter(isPublic)
  return { isValue, isType, members: members.map(({ name }) => name) }
}

function isPublic(symbol: ts.Symbol) {
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected
  return (symbol.declarations ?? []).every(
    (declaration) =>
      (ts.getCombinedModifierFlags(declaration) & hidden) === 0 &&
      !(
        ts.isClassElement(declaration) &&
        declaration.name &&
        ts.isPrivateIdentifier(declaration.name)
      )
  )
}
