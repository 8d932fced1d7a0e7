/**
 * The arrows of docs/architecture.md, so that they stay true.
 */
import { test } from '@japa/runner'
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import ts from 'typescript'

const root = fileURLToPath(new URL('../..', import.meta.url))
const LONGEST_FILE = 400

/** What an app has or hasn't. */
const CLIENTS = /^(@(adonisjs|japa|aws-sdk)\/|(ioredis|knex|kysely)$)/

/** All files below a folder with a given ending, as paths relative to the repository. */
function filesOf(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(ending))
    .map((path) => join(folder, path))
    .sort()
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

// ---------------------------------------------------------------------------------------------------------------- Rust

/** Attributes of what exists in tests only. */
const TESTS_ONLY = /#\[cfg\((?:all\(|any\()*test\b[^\]]*\]\s*(?:pub(?:\([^)]*\))? )?mod (\w+)/g

/** Rust without comments, strings and test modules. */
function codeOf(file: string): string {
  const code = read(file)
    .replace(/\/\/[^\n]*/g, '')
    .replace(/\bb?"(?:[^"\\]|\\[^])*"/g, '""')
  const tests = code.search(/#\[cfg\((?:all\()?test\b[^\]]*\]\s*mod tests \{/)
  return tests === -1 ? code : code.slice(0, tests)
}

/** Where a file's module stands: `['store', 'memory']` for src/store/memory.rs. */
function moduleOf(file: string): string[] {
  const path = relative('src', file).replace(/\.rs$/, '').split('/')
  return path.at(-1) === 'mod' || path.at(-1) === 'lib' ? path.slice(0, -1) : path
}

/** Takes `a::{b, c::{d}}` apart into `a::b` and `a::c::d`. */
function expand(tree: string): string[] {
  const open = tree.indexOf('{')
  if (open === -1) return [tree.replace(/\s+as\s+\w+/, '').trim()]
  const branches: string[] = []
  let depth = 0
  let from = open + 1
  for (let at = open; at < tree.length; at++) {
    if (tree[at] === '{') depth++
    else if (tree[at] === '}') depth--
    if ((tree[at] === ',' && depth === 1) || (tree[at] === '}' && depth === 0)) {
      if (tree.slice(from, at).trim() !== '') branches.push(tree.slice(from, at))
      from = at + 1
    }
  }
  return branches.flatMap((branch) => expand(tree.slice(0, open).trim() + branch.trim()))
}

/** What of this crate a file names, from the crate's root: `store::memory::MemoryStore`. */
function namesOf(file: string): string[] {
  const code = codeOf(file)
  const here = moduleOf(file)
  const uses = [...code.matchAll(/\buse\s+([^;]+);/g)].flatMap(([, tree]) => expand(tree))
  const inline = [...code.matchAll(/\b(?:crate|self|super)(?:::\w+)+/g)].map(([path]) => path)
  return [...uses, ...inline]
    .map((path) => path.split('::').map((part) => part.trim()))
    .filter(([first]) => ['crate', 'self', 'super'].includes(first))
    .map((parts) => {
      const path = parts[0] === 'crate' ? [] : [...here]
      for (const part of parts) {
        if (part === 'super') path.pop()
        else if (part !== 'crate' && part !== 'self') path.push(part)
      }
      return path.join('::')
    })
}

/** The modules of `src/store` that are stores, and those that only tests use. */
function storeModules() {
  const declarations = read('src/store/mod.rs')
  const testsOnly = [...declarations.matchAll(TESTS_ONLY)].map(([, name]) => name)
  const all = [...declarations.matchAll(/^(?:pub )?mod (\w+);/gm)].map(([, name]) => name)
  return { testsOnly, all, stores: all.filter((name) => !testsOnly.includes(name)) }
}

/** A file's names that match a pattern, as readable violations. */
function violations(file: string, pattern: RegExp): string[] {
  return namesOf(file)
    .filter((name) => pattern.test(name))
    .map((name) => `${file} names ${name}`)
}

test.group('architecture | Rust', () => {
  const files = filesOf('src', '.rs')

  test('the reader of Rust reads what it should', ({ assert }) => {
    assert.deepEqual(expand('a::{b, c::{d, e as f}, g}'), ['a::b', 'a::c::d', 'a::c::e', 'a::g'])
    assert.deepEqual(moduleOf('src/engine/machine/steps.rs'), ['engine', 'machine', 'steps'])
    assert.include(namesOf('src/node/space.rs'), 'store::memory::MemoryStore')
    assert.include(namesOf('src/engine/machine/steps.rs'), 'engine::machine::Machine')
    assert.includeMembers(storeModules().testsOnly, ['faulty', 'conformance'])
    assert.include(storeModules().stores, 'memory')
  })

  test('the engine names no concrete store and nothing of the addon', ({ assert }) => {
    // Modules begin with a small letter, the traits and their vocabulary with a capital one.
    const engine = files.filter((file) => file.startsWith('src/engine/'))
    assert.isNotEmpty(engine)
    assert.deepEqual(
      engine.flatMap((file) => violations(file, /^(store::[a-z_*]|node\b)/)),
      []
    )
  })

  test('a store imports neither the engine nor the addon nor another store', ({ assert }) => {
    const { stores, testsOnly } = storeModules()
    const found = files
      .filter((file) => file.startsWith('src/store/'))
      .filter((file) => !testsOnly.includes(moduleOf(file)[1]))
      .flatMap((file) => {
        const own = moduleOf(file)[1]
        const others = stores.filter((name) => name !== own && name !== 'command')
        const isRoot = own === undefined
        return [
          ...violations(file, /^(engine|node)\b/),
          ...(isRoot
            ? []
            : violations(file, new RegExp(`^store::(${others.join('|') || '-'})\\b`))),
        ]
      })
    assert.deepEqual(found, [])
    const forTests = files.filter((file) => testsOnly.includes(moduleOf(file)[1]))
    assert.deepEqual(
      forTests.flatMap((file) => violations(file, /^(engine|node)\b/)),
      []
    )
  })

  test('the vocabulary stands on itself', ({ assert }) => {
    const found = ['lease', 'clock', 'error', 'deadline', 'figures'].flatMap((name) =>
      violations(`src/${name}.rs`, /^(engine|store|node)\b/)
    )
    assert.deepEqual(found, [])
  })

  test('only src/node imports napi and is unsafe', ({ assert }) => {
    const outside = files.filter((file) => !file.startsWith('src/node/'))
    const found = outside.filter((file) => /\bnapi|\bunsafe\b/.test(codeOf(file)))
    assert.deepEqual(found, [])
  })
})

// ---------------------------------------------------------------------------------------------------------- TypeScript

/** One module that a file names. */
interface Import {
  specifier: string
  /** Whether it is gone at runtime, loaded with the file, or loaded when asked for. */
  kind: 'type' | 'static' | 'dynamic'
}

function isTypeOnly(node: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(node)) return node.isTypeOnly
  return node.importClause?.isTypeOnly ?? false
}

/** What a TypeScript or JavaScript file imports. */
function importsOf(path: string): Import[] {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true)
  const imports: Import[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
      if (node.moduleSpecifier !== undefined && ts.isStringLiteral(node.moduleSpecifier)) {
        const kind = isTypeOnly(node) ? 'type' : 'static'
        imports.push({ specifier: node.moduleSpecifier.text, kind })
      }
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      imports.push({ specifier: node.argument.literal.getText().slice(1, -1), kind: 'type' })
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments
      const specifier = ts.isStringLiteral(argument) ? argument.text : argument.getText()
      imports.push({ specifier, kind: 'dynamic' })
    } else if (ts.isModuleDeclaration(node) && ts.isStringLiteral(node.name)) {
      imports.push({ specifier: node.name.text, kind: 'type' })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return imports
}

/**
 * Everything that a file imports, directly or by way of other files of this package.
 *
 * @param resolve - Where a relative import leads
 */
function reach(
  entry: string,
  resolve: (from: string, specifier: string) => string,
  follows: (one: Import) => boolean
): Map<string, string> {
  const outside = new Map<string, string>()
  const seen = new Set<string>()
  const queue = [join(root, entry)]
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (seen.has(path)) continue
    seen.add(path)
    for (const one of importsOf(path).filter(follows)) {
      if (one.specifier.startsWith('.')) queue.push(resolve(path, one.specifier))
      else outside.set(one.specifier, relative(root, path))
    }
  }
  return outside
}

test.group('architecture | TypeScript', () => {
  const files = filesOf('lib', '.ts')
  const imports = files.flatMap((file) =>
    importsOf(join(root, file)).map((one) => ({ file, ...one }))
  )

  test('only lib/adonis imports AdonisJS', ({ assert }) => {
    const found = imports.filter(
      ({ file, specifier }) => specifier.startsWith('@adonisjs/') && !file.startsWith('lib/adonis/')
    )
    assert.deepEqual(found, [])
  })

  test('nothing but the entry imports lib/adonis from outside of it', ({ assert }) => {
    const found = imports.filter(
      ({ file, specifier }) =>
        /(^|\/)adonis\//.test(specifier) &&
        !file.startsWith('lib/adonis/') &&
        file !== 'lib/index.ts'
    )
    assert.deepEqual(found, [])
  })

  test('only lib/test_suite.ts imports Japa, and only its types', ({ assert }) => {
    const found = imports.filter(
      ({ file, specifier, kind }) =>
        specifier.startsWith('@japa/') && !(file === 'lib/test_suite.ts' && kind === 'type')
    )
    assert.deepEqual(found, [])
  })

  test('only lib/native.ts imports the addon', ({ assert }) => {
    const loading = imports.filter(
      ({ specifier, kind }) => specifier.includes('binding') && kind !== 'type'
    )
    assert.deepEqual(
      loading.map(({ file, kind }) => ({ file, kind })),
      [{ file: 'lib/native.ts', kind: 'static' }]
    )
  })

  test('what `.`, the drivers and `./test_suite` load needs neither AdonisJS nor Japa nor any client', ({
    assert,
  }) => {
    for (const entry of [
      'index',
      'drivers/memory',
      'drivers/redis',
      'drivers/knex',
      'drivers/kysely',
      'test_suite',
    ]) {
      const outside = reach(
        `build/${entry}.js`,
        (from, specifier) => join(dirname(from), specifier),
        ({ kind }) => kind === 'static'
      )
      const found = [...outside].filter(([specifier]) => CLIENTS.test(specifier))
      assert.deepEqual(found, [], entry)
    }
  })

  test('the declarations of `.`, `./types` and the drivers name neither AdonisJS nor any client', ({
    assert,
  }) => {
    for (const entry of [
      'index.d.ts',
      'build/adonis/types.d.ts',
      'build/drivers/memory.d.ts',
      'build/drivers/redis.d.ts',
      'build/drivers/knex.d.ts',
      'build/drivers/kysely.d.ts',
      'build/drivers/dynamodb.d.ts',
    ]) {
      const outside = reach(
        entry,
        (from, specifier) => join(dirname(from), specifier.replace(/\.js$/, '.d.ts')),
        () => true
      )
      const found = [...outside].filter(([specifier]) => CLIENTS.test(specifier))
      assert.deepEqual(found, [], entry)
    }
  })

  test('a project without AdonisJS compiles with skipLibCheck: false', async ({ assert }) => {
    const project = await mkdtemp(join(tmpdir(), 'loquet-consumer-'))
    try {
      await installInto(project)
      await writeFile(join(project, 'consumer.ts'), CONSUMER)
      const { stdout } = await compile(project)
      assert.equal(stdout, '')
    } finally {
      await rm(project, { recursive: true })
    }
  }).timeout(60_000)
})

/** A program of somebody who has this package and nothing else. */
const CONSUMER = `
import { E_LOCK_NOT_OWNED, Lock, LockFactory, Verrou, defineConfig, errors, stores } from 'loquet'
import { MemoryStore, memoryStore } from 'loquet/drivers/memory'
import type { LockService, LockStore, SerializedLock, StoreFactory } from 'loquet/types'

const verrou = new Verrou({
  default: 'memory',
  stores: { memory: { driver: memoryStore() }, shared: { driver: memoryStore({ shared: 'a' }) } },
})
const lock: Lock = verrou.use('shared').createLock('key', '10s')
const [executed, result] = await lock.run((held) => held.getOwner())
if (executed) console.log(result.toUpperCase())
const serialized: SerializedLock = lock.serialize()
const store: LockStore = new MemoryStore()
const factory: StoreFactory = { driver: { factory: () => store } }
await new LockFactory(store).restoreLock(serialized).release()
export const config = defineConfig({ default: 'one', stores: { one: factory, two: stores.memory() } })
export type Service = LockService
export const classes = [E_LOCK_NOT_OWNED, errors.E_LOCK_CLOSED]
`

/** Puts what npm would install there into a folder: a copy of this package, for links would lead back to our own. */
async function installInto(project: string): Promise<void> {
  const modules = join(project, 'node_modules')
  await mkdir(join(modules, 'loquet'), { recursive: true })
  for (const name of ['package.json', 'index.d.ts', 'build']) {
    await cp(join(root, name), join(modules, 'loquet', name), {
      recursive: true,
      filter: (path) => !path.endsWith('.node') && !path.endsWith('.tgz'),
    })
  }
  const { dependencies } = JSON.parse(read('package.json'))
  for (const name of [...Object.keys(dependencies), '@types/node', 'undici-types']) {
    const source = join(root, 'node_modules', name)
    if (!existsSync(source)) continue
    await mkdir(dirname(join(modules, name)), { recursive: true })
    await symlink(source, join(modules, name))
  }
  await writeFile(join(project, 'package.json'), '{ "type": "module" }')
  const compilerOptions = {
    target: 'es2022',
    module: 'nodenext',
    strict: true,
    skipLibCheck: false,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
    types: ['node'],
  }
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
}

/** Runs the compiler in a folder. What it finds is in \`stdout\`. */
async function compile(project: string): Promise<{ stdout: string }> {
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  try {
    return await promisify(execFile)(process.execPath, [compiler, '-p', project])
  } catch (error) {
    return error as { stdout: string }
  }
}

// --------------------------------------------------------------------------------------------------------------- sizes

test.group('architecture | sizes', () => {
  test(`no file of the product is longer than ${LONGEST_FILE} lines`, ({ assert }) => {
    const long = [...filesOf('src', '.rs'), ...filesOf('lib', '.ts')]
      .map((file) => ({ file, lines: read(file).trimEnd().split('\n').length }))
      .filter(({ lines }) => lines > LONGEST_FILE)
    assert.deepEqual(long, [])
  })
})
