/**
 * A project that depends on this package, as a person would have it: a folder with its own `node_modules`, where the
 * package lies as npm would install it, under the names that the project imports. What is compiled or run there never
 * sees lib/, nor the package resolving itself.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { cp, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import ts from 'typescript'

export const root = fileURLToPath(new URL('../../', import.meta.url))

/** What a project may import besides this package. Linked, so that one copy of AdonisJS serves a whole process. */
const NEIGHBOURS = [
  '@adonisjs/core',
  '@japa/runner',
  '@lukeed/ms',
  '@poppinss/exception',
  '@types/node',
  'ioredis',
  'pino',
]

/** What a person's `tsconfig.json` says; lib checks are on, so that our declarations have to compile as well. */
export const STRICT: ts.CompilerOptions = {
  strict: true,
  target: ts.ScriptTarget.ESNext,
  lib: ['lib.esnext.d.ts'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  types: ['node'],
  skipLibCheck: false,
  noEmit: true,
}

export interface ConsumerOptions {
  /** The names under which this package is installed. */
  installedAs: string[]
  /** Other packages that are there: all of {@link NEIGHBOURS} unless given. */
  neighbours?: string[]
  /** Packages of the root's `node_modules` that lie there under another name. */
  aliases?: Record<string, string>
  /** Merged into `package.json`. */
  manifest?: Record<string, unknown>
}

/** Makes a project in a folder of its own, which `remove` removes. */
export async function createConsumer(options: ConsumerOptions) {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'loquet-consumer-')))

  const modules = join(folder, 'node_modules')
  const links = Object.fromEntries((options.neighbours ?? NEIGHBOURS).map((name) => [name, name]))
  for (const [name, target] of Object.entries({ ...links, ...options.aliases })) {
    await mkdir(dirname(join(modules, name)), { recursive: true })
    await symlink(join(root, 'node_modules', target), join(modules, name))
  }
  for (const name of options.installedAs) await installPackage(join(modules, name))

  const write = async (path: string, content: string) => {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  await write(
    'package.json',
    JSON.stringify({ name: 'consumer', type: 'module', ...options.manifest })
  )

  return {
    folder,
    url: pathToFileURL(`${folder}/`),
    remove: () => rm(folder, { recursive: true, force: true }),
    write,
    path: (path: string) => join(folder, path),
    import: (path: string) => import(pathToFileURL(join(folder, path)).href),
    compiler: (files: string[], compilerOptions: ts.CompilerOptions = {}) =>
      new Compiler(folder, files, { ...STRICT, ...compilerOptions }),
  }
}

export type Consumer = Awaited<ReturnType<typeof createConsumer>>

/** Copies what `npm publish` would send. */
async function installPackage(target: string) {
  await mkdir(target, { recursive: true })
  const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    files: string[]
  }
  for (const name of ['package.json', ...files]) {
    const source = join(root, name)
    if (!existsSync(source)) continue
    await cp(source, join(target, name), {
      recursive: true,
      filter: (path) => !path.endsWith('.tgz'),
    })
  }
}

/** One diagnostic of the compiler, without what depends on the machine. */
export interface Complaint {
  file: string
  line: string
  code: number
  message: string
}

/** Parsed once for all projects: the declarations of TypeScript, Node.js and AdonisJS are most of what is compiled. */
const documents = ts.createDocumentRegistry()

/** The files of a project as an editor sees them: what the compiler complains about, and what it would complete. */
export class Compiler {
  readonly #folder: string
  readonly #service: ts.LanguageService

  constructor(folder: string, files: string[], options: ts.CompilerOptions) {
    this.#folder = folder
    const names = files.map((file) => join(folder, file))
    const host: ts.LanguageServiceHost = {
      getCompilationSettings: () => options,
      getScriptFileNames: () => names,
      getScriptVersion: (name) => {
        const file = statSync(name, { throwIfNoEntry: false })
        return `${file?.mtimeMs} ${file?.size}`
      },
      getScriptSnapshot: (name) => {
        const text = ts.sys.readFile(name)
        return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text)
      },
      getCurrentDirectory: () => folder,
      getDefaultLibFileName: ts.getDefaultLibFilePath,
      fileExists: ts.sys.fileExists,
      readFile: ts.sys.readFile,
      readDirectory: ts.sys.readDirectory,
      directoryExists: ts.sys.directoryExists,
      getDirectories: ts.sys.getDirectories,
      realpath: ts.sys.realpath,
    }
    this.#service = ts.createLanguageService(host, documents)
  }

  get program(): ts.Program {
    return this.#service.getProgram()!
  }

  /** The complaints about the project's files and this package's declarations, in order. */
  complaints(): Complaint[] {
    const own = this.program.getSourceFiles().filter((file) => this.#isChecked(file.fileName))
    const diagnostics = [
      ...this.program.getOptionsDiagnostics(),
      ...this.program.getGlobalDiagnostics(),
      ...own.flatMap((file) => [
        ...this.program.getSyntacticDiagnostics(file),
        ...this.program.getSemanticDiagnostics(file),
        ...(this.program.getCompilerOptions().declaration
          ? this.program.getDeclarationDiagnostics(file)
          : []),
      ]),
    ]
    return diagnostics.map((diagnostic) => this.#describe(diagnostic))
  }

  /** The declarations of this package that the program reads. */
  declarations(): string[] {
    return this.program
      .getSourceFiles()
      .map((file) => this.#relative(file.fileName))
      .filter((name) => name.startsWith('node_modules/'))
  }

  /** What an editor offers at the end of the first occurrence of `before`. */
  completions(file: string, before: string): string[] {
    const name = join(this.#folder, file)
    const text = ts.sys.readFile(name)!
    const position = text.indexOf(before)
    if (position === -1) throw new Error(`${file} doesn't contain ${before}`)
    const entries = this.#service.getCompletionsAtPosition(name, position + before.length, {})
    return (entries?.entries ?? []).map((entry) => entry.name)
  }

  #isChecked(name: string) {
    return name.startsWith(`${this.#folder}/`)
  }

  #relative(name: string) {
    return name.startsWith(`${this.#folder}/`) ? name.slice(this.#folder.length + 1) : name
  }

  #describe({ file, start, code, messageText }: ts.Diagnostic): Complaint {
    let line = ''
    if (file !== undefined && start !== undefined) {
      const { line: number } = file.getLineAndCharacterOfPosition(start)
      line = file.text.split('\n')[number].trim()
    }
    return {
      file: file === undefined ? '' : this.#relative(file.fileName),
      line,
      code,
      message: ts.flattenDiagnosticMessageText(messageText, '\n'),
    }
  }
}
