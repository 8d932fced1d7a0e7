/**
 * Programs that are made of the samples of a page and of what a person writes around them. Samples are never edited; what
 * isn't a module of its own is surrounded by code that stands beside its test, in `programs/`.
 */
import { spawn } from 'node:child_process'
import ts from 'typescript'
import { samplesOf } from './samples.js'
import type { Consumer } from '../types/consumer.js'
import type { Sample } from './samples.js'

/** The servers that programs may be run with. */
export type ServerName = 'redis' | 'postgres' | 'mysql' | 'dynamodb'

/** Where they are: as `redis://…`, `postgres://…`, `mysql://…`, `http://…`. */
export type Addresses = Partial<Record<ServerName, string>>

/** A sample by its page and the anchor of the heading above it, `docs/redis.md#faults`; the second there ends in `:2`. */
export class Place {
  /** @param constant - What the program calls the sample's text, where it isn't code but what code is given */
  constructor(
    readonly name: string,
    readonly constant?: string
  ) {}

  get page(): string {
    return this.name.slice(0, this.name.indexOf('#'))
  }

  sample(): Sample {
    const found = placesOf(this.page).get(this.name)
    if (found === undefined) throw new Error(`There is no sample ${this.name}`)
    return found
  }
}

/** A sample, as a part of a program. */
export const sample = (name: string) => new Place(name)

/** A sample in another language, SQL say, as a text of the program. */
export const sampleAs = (constant: string, name: string) => new Place(name, constant)

export interface Program {
  /** What it consists of, in order. Texts are what stands around the samples; their assertions are the test. */
  parts: (string | Place)[]
  /** Whether it is CommonJS. */
  isCommonJs?: boolean
  /** What is run instead, and loads the program by the name it is given: where something has to be there before it. */
  main?: (module: string) => string
  /** Servers that it needs. Their addresses are in the environment as `REDIS_URL`, `POSTGRES_URL` and so on. */
  servers?: ServerName[]
  /** Addresses in samples behind which the program finds a private server when it is run. */
  addresses?: Record<string, ServerName>
  /** Further variables of its environment, of which some may be addresses. */
  env?: (addresses: Addresses) => Record<string, string | undefined>
}

/** All samples of a page by their places. */
export function placesOf(page: string): Map<string, Sample> {
  const places = new Map<string, Sample>()
  for (const each of samplesOf(page)) {
    const first = `${page}#${each.section}`
    let name = first
    for (let number = 2; places.has(name); number++) name = `${first}:${number}`
    places.set(name, each)
  }
  return places
}

/** The places of the samples that a program is made of. */
export function placesIn({ parts }: Program): string[] {
  return parts.filter((part) => part instanceof Place).map(({ name }) => name)
}

/** The text of a program, as it is compiled. */
export function textOf({ parts }: Program): string {
  const texts = parts.map((part) => {
    if (!(part instanceof Place)) return `${part}\n`
    const { code } = part.sample()
    if (part.constant === undefined) return code
    return `const ${part.constant} = ${JSON.stringify(code)}\n`
  })
  return texts.join('')
}

/** The path of a program in the project where it is compiled and run. */
function pathOf(name: string, extension: string): string {
  return `programs/${name.replaceAll(/[^a-z0-9]+/gi, '_')}.${extension}`
}

/** The files of a program, by their paths; what is run comes last. */
export function filesOf(name: string, program: Program): [path: string, text: string][] {
  const extension = program.isCommonJs ? 'cts' : 'ts'
  const files: [string, string][] = [[pathOf(name, extension), textOf(program)]]
  if (program.main !== undefined) {
    const module = pathOf(name, 'js').replace('programs/', './')
    files.push([pathOf(`${name} main`, 'ts'), program.main(module)])
  }
  return files
}

/** How a program ended. */
export interface Ending {
  code: number | null
  signal: NodeJS.Signals | null
  output: string
}

/** Runs a program in a project, as JavaScript. It has to end by itself, within 40 s. */
export async function runProgram(
  consumer: Consumer,
  name: string,
  program: Program,
  addresses: Addresses
): Promise<Ending> {
  let path = ''
  for (const [source, code] of filesOf(name, program)) {
    path = source.replace(/ts$/, 'js')
    await consumer.write(path, transpile(redirect(code, program, addresses), program.isCommonJs))
  }
  const variables = Object.fromEntries(
    (program.servers ?? []).map((server) => [
      `${server.toUpperCase()}_URL`,
      addressOf(addresses, server),
    ])
  )
  return runFile(consumer.folder, path, { ...variables, ...program.env?.(addresses) })
}

/** Puts the addresses of private servers in the place of those that samples show. */
function redirect(code: string, program: Program, addresses: Addresses): string {
  let redirected = code
  for (const [shown, server] of Object.entries(program.addresses ?? {})) {
    redirected = redirected.replaceAll(shown, addressOf(addresses, server))
  }
  return redirected
}

function runFile(folder: string, path: string, env: NodeJS.ProcessEnv): Promise<Ending> {
  const child = spawn(process.execPath, [path], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder, TMPDIR: process.env.TMPDIR, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 40_000,
    killSignal: 'SIGKILL',
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, output }))
  })
}

function addressOf(addresses: Addresses, server: ServerName): string {
  const address = addresses[server]
  if (address === undefined) throw new Error(`The program doesn't ask for ${server}`)
  return address
}

function transpile(code: string, isCommonJs = false): string {
  const module = isCommonJs ? ts.ModuleKind.CommonJS : ts.ModuleKind.ESNext
  return ts.transpileModule(code, {
    // `await using` is translated: not every Node.js that runs this has it.
    compilerOptions: { target: ts.ScriptTarget.ES2022, module },
  }).outputText
}
