/**
 * Every sample in TypeScript is part of a program that compiles under `strict` against the package as it is installed,
 * and that runs to its end.
 */
import { join } from 'node:path'
import { test } from '@japa/runner'
import { createConsumer, root } from '../types/consumer.js'
import { NEIGHBOURS } from './neighbours.js'
import { PAGES, PROGRAMS, triedElsewhere } from './pages.js'
import { filesOf, placesIn, placesOf, runProgram, textOf } from './program.js'
import { startServers } from './servers.js'
import type { Consumer } from '../types/consumer.js'
import type { ServerName } from './program.js'

const CODE = ['ts', 'js', 'sql']

/** redlock 5 has declarations that its `exports` doesn't name: an app has to say where they are. */
const DECLARED = { redlock: [join(root, 'node_modules/redlock/dist/index.d.ts')] }

test.group('Samples | programs', () => {
  test('every sample of {$self} is part of a program')
    .with(PAGES)
    .run(({ assert }, page) => {
      const samples = [...placesOf(page)].filter(([, { language }]) => CODE.includes(language))
      const covered = new Set(Object.values(PROGRAMS).flatMap(placesIn))
      const missing = samples.filter(([place]) => !covered.has(place))
      if (missing.length > 0 && triedElsewhere(page).length > 0) return

      assert.deepEqual(
        missing.map(([place, { line }]) => `${place} (line ${line})`),
        []
      )
    })

  test('every program has samples of pages that exist, each word for word', ({ assert }) => {
    for (const [name, program] of Object.entries(PROGRAMS)) {
      assert.isNotEmpty(placesIn(program), name)
      for (const address of Object.keys(program.addresses ?? {})) {
        assert.include(textOf(program), address, name)
      }
      for (const place of placesIn(program)) {
        const page = place.slice(0, place.indexOf('#'))
        assert.include(PAGES, page, name)
        const code = placesOf(page).get(place)?.code ?? `no ${place}`
        const text = textOf(program)
        assert.isTrue(text.includes(code) || text.includes(JSON.stringify(code)), place)
      }
    }
  })
})

test.group('Samples | compiled and run', (group) => {
  let consumer: Consumer
  const files: string[] = []
  const servers = startServers()
  group.setup(async () => {
    consumer = await createConsumer({
      installedAs: ['loquet', '@adonisjs/lock', '@verrou/core'],
      neighbours: NEIGHBOURS,
    })
    for (const [name, program] of Object.entries(PROGRAMS)) {
      for (const [path, text] of filesOf(name, program)) {
        files.push(path)
        await consumer.write(path, text)
      }
    }
    await consumer.write('tmp/.keep', '')
    return async () => {
      await consumer.remove()
      await servers.stop()
    }
  })

  test('every program compiles under strict', ({ assert }) => {
    const compiler = consumer.compiler(files, { paths: DECLARED })

    assert.deepEqual(
      compiler.complaints().filter(({ file }) => file.startsWith('programs/')),
      []
    )
    assert.includeMembers(compiler.declarations(), ['node_modules/loquet/index.d.ts'])
  }).timeout(120_000)

  test('it runs: {$self}')
    .with(Object.keys(PROGRAMS))
    .run(async ({ assert }, name) => {
      const program = PROGRAMS[name]
      const wanted: ServerName[] = [
        ...(program.servers ?? []),
        ...Object.values(program.addresses ?? {}),
      ]
      const ending = await runProgram(consumer, name, program, await servers.addresses(wanted))

      assert.deepInclude(ending, { code: 0, signal: null }, ending.output)
    })
})
