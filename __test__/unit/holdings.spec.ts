/**
 * What a factory knows of the leases that its locks hold, see `lib/engine/holdings.ts`: nothing that is held is forgotten, and
 * nothing that isn't is kept.
 */
import { test } from '@japa/runner'
// The addon is where the built library is.
import 'loquet'

import { HeldList } from '../../lib/engine/held_list.js'
import { Holdings } from '../../lib/engine/holdings.js'
import { Lease, ListedLease } from '../../lib/engine/lease.js'
import { LeaseLife } from '../../lib/engine/lease_life.js'
import { native } from '../../lib/native.js'
import { until } from './observe.js'

const FOREVER = Number.POSITIVE_INFINITY

function keysOf(leases: Iterable<Lease>): string[] {
  return Array.from(leases, ({ key }) => key)
}

function listed(key: string, endsAt = FOREVER): ListedLease {
  return new ListedLease(key, 'owner', endsAt)
}

test.group('holdings | the list', () => {
  test('leases leave from anywhere, and the order of the others stays', ({ assert }) => {
    const list = new HeldList()
    const leases = ['a', 'b', 'c', 'd', 'e'].map((key) => listed(key))
    for (const lease of leases) list.add(lease)
    assert.deepEqual(keysOf(list), ['a', 'b', 'c', 'd', 'e'])
    for (const gone of [2, 0, 4]) leases[gone].leave()
    assert.deepEqual([keysOf(list), list.size], [['b', 'd'], 2])
    leases[2].leave()
    assert.equal(list.size, 2, 'what has left has left')
    list.add(leases[0])
    assert.deepEqual(keysOf(list), ['b', 'd', 'a'])
    for (const lease of leases) lease.leave()
    assert.deepEqual([keysOf(list), list.size], [[], 0])
  })

  test('whoever goes through it sees what is there, whatever comes and goes meanwhile', ({
    assert,
  }) => {
    const list = new HeldList()
    const leases = ['a', 'b', 'c', 'd'].map((key) => listed(key))
    for (const lease of leases) list.add(lease)
    const seen: string[] = []
    for (const { key } of list) {
      seen.push(key)
      if (key === 'a') for (const gone of [0, 1, 2]) leases[gone].leave()
      if (key === 'd') list.add(listed('f'))
    }
    assert.deepEqual(seen, ['a', 'd'])
    assert.deepEqual(keysOf(list), ['d', 'f'])
  })
})

for (const [kind, make] of [
  ['a chain', (key: string, endsAt = FOREVER) => new Lease(key, 'owner', endsAt)],
  ['a list', listed],
] as const) {
  test.group(`holdings | leases in ${kind}`, () => {
    test('those that are released are not held', ({ assert }) => {
      const holdings = new Holdings()
      const leases = Array.from({ length: 2000 }, (_, index) => make(`k${index}`))
      for (const lease of leases) holdings.add(lease)
      for (const [index, lease] of leases.entries()) if (index % 1000 !== 0) lease.release()
      assert.deepEqual(keysOf([...holdings].filter(({ released }) => !released)), ['k0', 'k1000'])
    })

    test('those that expire are dropped without anybody asking', async ({ assert }) => {
      const holdings = new Holdings()
      const now = native.now()
      for (let index = 0; index < 256; index++) {
        holdings.add(make(`k${index}`, index === 7 ? FOREVER : now + 5))
      }
      await until(() => [...holdings].length === 1)
      assert.deepEqual(keysOf(holdings), ['k7'])
    })

    test('those that are lost are dropped', ({ assert }) => {
      const holdings = new Holdings()
      const leases = [make('a'), make('b')]
      for (const lease of leases) holdings.add(lease)
      assert.deepEqual(keysOf(holdings), ['a', 'b'])
      LeaseLife.of(leases[0]).lose('not_owned')
      assert.deepEqual(keysOf(holdings), ['b'])
    })

    test('those without end that others have freed do not pile up', ({ assert }) => {
      const holdings = new Holdings()
      holdings.add(make('kept'))
      for (let index = 0; index < 100_000; index++) holdings.add(make('again and again'))
      const keys = keysOf(holdings)
      assert.isBelow(keys.length, 3000)
      assert.include(keys, 'kept')
    })
  })
}
