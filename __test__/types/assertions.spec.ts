/**
 * What every public type says, held by the files of `assertions/` and checked against the package as it is installed.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { test } from '@japa/runner'
import { createConsumer } from './consumer.js'
import { exportsOf } from './entries.js'
import type { Consumer } from './consumer.js'

const ENTRIES = [
  'loquet',
  'loquet/types',
  'loquet/lock_provider',
  'loquet/services/main',
  'loquet/drivers/memory',
  'loquet/drivers/redis',
  'loquet/drivers/database',
  'loquet/drivers/knex',
  'loquet/drivers/kysely',
  'loquet/drivers/dynamodb',
  'loquet/test_suite',
]

const folder = new URL('assertions/', import.meta.url)
const files = readdirSync(folder).filter((name) => name.endsWith('.ts'))
const read = (name: string) => readFileSync(new URL(name, folder), 'utf8')

test.group('Public types', (group) => {
  let consumer: Consumer
  group.setup(async () => {
    consumer = await createConsumer({
      installedAs: ['loquet'],
      aliases: {
        '@verrou/core': '@verrou/core',
        'adonis-lock': 'adonis-lock',
        'kysely': 'kysely',
        '@aws-sdk/client-dynamodb': '@aws-sdk/client-dynamodb',
      },
    })
    for (const name of files) await consumer.write(`assertions/${name}`, read(name))
    return () => consumer.remove()
  })

  test('are what the assertions say', ({ assert }) => {
    const compiler = consumer.compiler(files.map((name) => `assertions/${name}`))

    assert.deepEqual(compiler.complaints(), [])
    assert.includeMembers(compiler.declarations(), ['node_modules/loquet/index.d.ts'])
  })

  test('an assertion that is wrong is reported', async ({ assert }) => {
    await consumer.write('assertions/equal.ts', read('equal.ts'))
    await consumer.write(
      'assertions/wrong.ts',
      `
      import type { Duration } from 'loquet/types'
      import { check } from './equal.js'
      import type { Equal } from './equal.js'
      check<Equal<Duration, number | string | null>>()
      check<Equal<Duration, number | string>>()
      check<Equal<Duration, any>>()
      check<Equal<{ a?: Duration }, { a: Duration | undefined }>>()
      `
    )
    const complaints = consumer.compiler(['assertions/wrong.ts']).complaints()

    assert.lengthOf(complaints, 3)
    for (const { code } of complaints) assert.equal(code, 2344)
  })

  test('are all mentioned by an assertion', async ({ assert }) => {
    const text = files.map(read).join('\n')
    const unmentioned = []
    for (const [entry, names] of await exportsOf(consumer, ENTRIES)) {
      for (const name of names!.keys()) {
        const mention = name === 'default' ? `from '${entry}'` : `\\b${name}\\b`
        if (!new RegExp(mention).test(text)) unmentioned.push(`${entry}: ${name}`)
      }
    }

    assert.deepEqual(unmentioned, [])
  })
})
