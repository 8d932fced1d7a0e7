/**
 * Samples that aren't code: the commands of shells name what exists, JSON and environment files can be read, and there is
 * no language that nobody looks after.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { test } from '@japa/runner'
import { root } from '../types/consumer.js'
import { PAGES } from './pages.js'
import { placesOf } from './program.js'
import type { Sample } from './samples.js'

/** `text` is what a program prints; there is nothing to try. A model of Prisma shows what code is written for. */
const LANGUAGES = ['prisma', 'ts', 'js', 'sql', 'sh', 'json', 'env', 'text']

/** The samples in a language, of all pages. */
function samplesIn(language: string, pages = PAGES): [place: string, sample: Sample][] {
  return pages.flatMap((page) =>
    [...placesOf(page)].filter(([, sample]) => sample.language === language)
  )
}

const read = (path: string) => readFileSync(join(root, path), 'utf8')
const manifestOf = (folder: string) =>
  JSON.parse(read(join(folder, 'package.json'))) as {
    name: string
    scripts: Record<string, string>
    peerDependencies?: Record<string, string>
    devDependencies?: Record<string, string>
  }

/** The commands of a sample, without comments; lines that end in a backslash go on. */
function commandsOf({ code }: Sample): string[] {
  return code
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .flatMap((line) => line.replace(/(^|\s)#.*$/, '').split('&&'))
    .map((command) => command.trim())
    .filter((command) => command !== '')
}

/** Packages of others that a reader may be asked to install. */
const INSTALLABLE = ['@adonisjs/lock', '@verrou/core']

/** Says what is wrong with a command, or nothing. A `cd` changes the folder of those after it. */
function flawOf(command: string, state: { folder: string }): string | undefined {
  const words = command.split(/\s+/).filter((word) => !/^[A-Z_]+=/.test(word))
  const [program, verb, ...rest] = words
  const { scripts, peerDependencies, devDependencies } = manifestOf(state.folder)
  const says = (isTrue: boolean, flaw: string) => (isTrue ? undefined : flaw)
  if (program === 'cd') {
    state.folder = join(state.folder, verb)
    return says(existsSync(join(root, state.folder, 'package.json')), `no folder ${state.folder}`)
  }
  if (program === 'npm' && verb === 'run') return says(rest[0] in scripts, `no script ${rest[0]}`)
  if (program === 'npm' && verb === 'test') return says('test' in scripts, 'no script test')
  if (program === 'npm' && verb === 'ci') {
    return says(existsSync(join(root, state.folder, 'package-lock.json')), 'no package-lock.json')
  }
  if (program === 'npm' && ['install', 'i', 'uninstall'].includes(verb)) {
    const known = { ...manifestOf('.').devDependencies, ...peerDependencies, ...devDependencies }
    const named = rest.filter((word) => !word.startsWith('-'))
    const unknown = named.filter(
      (name) =>
        !/^((@[a-z]+\/)?[a-z]+@npm:)?loquet(@\d+)?$/.test(name) &&
        !INSTALLABLE.includes(name.replace(/@\d+$/, '')) &&
        !(name in known)
    )
    return says(unknown.length === 0, `unknown packages ${unknown.join()}`)
  }
  if (program === 'node' && verb === 'ace') {
    const [name, argument, ...flags] = rest
    if (name === 'add') return says(argument in (peerDependencies ?? {}), `no peer ${argument}`)
    if (name === 'configure') {
      const stores = /^--store=(database|redis|dynamodb|memory)$/
      return says(
        ['loquet', '@adonisjs/lock'].includes(argument) && flags.every((flag) => stores.test(flag)),
        'not a way to configure'
      )
    }
    return says(['migration:run', 'migration:rollback'].includes(name), `no ace command ${name}`)
  }
  if (program === 'node') return says(existsSync(join(root, state.folder, verb)), `no ${verb}`)
  if (program === 'cargo' && verb === 'test') {
    const name = rest[rest.indexOf('--test') + 1]
    return says(readdirSync(join(root, 'tests')).includes(`${name}.rs`), `no test ${name}`)
  }
  return `nobody knows the program ${program}`
}

test.group('Samples | commands and files', () => {
  test('every language of a sample is looked after', ({ assert }) => {
    const languages = PAGES.flatMap((page) =>
      [...placesOf(page)].map(([place, { language }]) => [place, language])
    )

    assert.deepEqual(
      languages.filter(([, language]) => !LANGUAGES.includes(language)),
      []
    )
  })

  test('commands name scripts, files and packages that exist', ({ assert }) => {
    const samples = samplesIn('sh')
    assert.isNotEmpty(samples)
    for (const [place, sample] of samples) {
      // Each block begins in the root folder, or where the page that it is on says so.
      const state = { folder: '.' }
      for (const command of commandsOf(sample)) {
        assert.isUndefined(flawOf(command, state), `${place}: ${command}`)
      }
    }
  })

  test('commands with mistakes are found', ({ assert }) => {
    const flaws = [
      'npm run quickstrat',
      'cd benches-that-are-not',
      'npm install loquett',
      'node scripts/none.mjs',
      'node ace configure loquet --store=etcd',
      'cargo test --test none',
      'yarn test',
    ].map((command) => flawOf(command, { folder: '.' }))

    assert.isTrue(flaws.every((flaw) => flaw !== undefined))
    assert.isUndefined(flawOf('LOQUET_BENCH_FSYNC=on npm run typecheck', { folder: '.' }))
    assert.isUndefined(flawOf('npm install @verrou/core@npm:loquet', { folder: '.' }))
  })

  test('JSON can be read, and names this package as an app would', ({ assert }) => {
    for (const [place, { code }] of samplesIn('json')) {
      const { dependencies = {} } = JSON.parse(code) as { dependencies?: Record<string, string> }
      for (const [name, version] of Object.entries(dependencies)) {
        assert.match(version, /^(npm:loquet|[\^~]?\d+\.\d+\.\d+|npm:@?[a-z/]+@\d+)$/, place)
        assert.match(name, /^(loquet|@adonisjs\/lock|@verrou\/core|[a-z]+-[a-z]+)$/, place)
      }
    }
  })

  test('environment files can be read', ({ assert }) => {
    for (const [place, { code }] of samplesIn('env')) {
      const lines = code.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))
      assert.lengthOf(Object.keys(parseEnv(code)), lines.length, place)
    }
  })
})
