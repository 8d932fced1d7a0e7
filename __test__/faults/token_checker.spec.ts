/**
 * The checker of fencing tokens: it finds what is wrong, and only that.
 */
import { test } from '@japa/runner'

import { checkTokens } from '../fleet/fencing/check.js'
import type { TokenEvent } from '../fleet/fencing/check.js'
import { Storage } from '../fleet/fencing/storage.js'

/** What is told of a lease or a write unless a test says otherwise. */
const ABOUT = { process: 'one', key: 'k', call: 0, token: '0', until: 1_000 }

type Told = [at: number, kind: TokenEvent['kind'], owner?: string, more?: object]

let calls = 0

/** A history in short. The calls of an owner come one after another, so each has the number of its last question. */
function historyOf(...told: Told[]): TokenEvent[] {
  const open = new Map<string, number>()
  return told.map(([at, kind, owner = 'a', more]) => {
    if (kind === 'offering' || kind === 'forcing') open.set(owner, ++calls)
    return {
      ...ABOUT,
      call: open.get(owner) ?? 0,
      ttl: 1_000,
      owner,
      at,
      kind,
      ...more,
    } as TokenEvent
  })
}

/** A lock that is granted at once. */
function granted(at: number, owner: string, token: number | string, more?: object): Told[] {
  return [
    [at, 'asked', owner],
    [at + 1, 'granted', owner, { token: String(token), until: at + 1_000, ...more }],
  ]
}

/** What somebody writes with a token. */
function written(at: number, owner: string, token: number, how: 'accepted' | 'denied'): Told[] {
  return [
    [at, 'offering', owner, { token: String(token) }],
    [at + 1, how, owner, { token: String(token) }],
  ]
}

const released = (at: number, owner: string): Told[] => [
  [at, 'releasing', owner],
  [at + 1, 'released', owner],
]

const rulesOf = (...told: Told[]) =>
  checkTokens(historyOf(...told)).violations.map(({ rule }) => rule)

/** `a` holds the lock until it is released, `b` then writes, and `a` again. */
const HANDED_ON: Told[] = [
  ...granted(0, 'a', 5),
  ...written(2, 'a', 5, 'accepted'),
  ...released(4, 'a'),
  ...granted(6, 'b', 6),
  ...written(8, 'b', 6, 'accepted'),
]

test.group('token checker', () => {
  test('a history in which all is well is counted', ({ assert }) => {
    const checked = checkTokens(
      historyOf(
        ...HANDED_ON,
        ...written(10, 'a', 5, 'denied'),
        ...written(12, 'b', 6, 'accepted'),
        [14, 'forcing', 'c'],
        [15, 'forced', 'c'],
        [16, 'releasing', 'b'],
        [17, 'release-failed', 'b', { code: 'E_LOCK_NOT_OWNED' }],
        ...granted(18, 'd', 7, { process: 'two' }),
        [20, 'died', 'd', { process: 'two' }],
        ...granted(21, 'e', 9, { until: 30 }),
        ...written(32, 'e', 9, 'accepted')
      )
    )
    assert.deepEqual(checked, {
      violations: [],
      ...{ acquisitions: 4, kills: 1, expiries: 1, forced: 1, robbed: 1 },
      ...{ accepted: 4, denied: 1, overdue: 0, errors: { E_LOCK_NOT_OWNED: 1 } },
    })
  })

  test('a token that is missing, is none, or has been granted before', ({ assert }) => {
    for (const token of ['', '0', '-1', '9007199254740992', 'x']) {
      assert.deepEqual(rulesOf(...granted(0, 'a', token)), ['no-token'])
    }
    assert.deepEqual(rulesOf(...granted(0, 'a', 5, { token: undefined })), ['no-token'])
    const twice = rulesOf(
      ...granted(0, 'a', 5),
      [2, 'forcing', 'c'],
      [9, 'forced', 'c'],
      ...granted(10, 'b', 5)
    )
    assert.deepEqual(twice, ['twice', 'not-greater'])
  })

  test('tokens of two keys have nothing to do with each other', ({ assert }) => {
    const other = granted(9, 'b', 4).map(([at, kind, owner, more]): Told => [
      at,
      kind,
      owner,
      { ...more, key: 'other' },
    ])
    assert.deepEqual(rulesOf(...granted(0, 'a', 5), ...other), [])
  })

  test('a token that is lower than one that was known before it was asked for', ({ assert }) => {
    const lower = [...granted(0, 'a', 5), ...granted(9, 'b', 4)]
    assert.deepEqual(rulesOf(...lower), ['not-greater'])
    // Whatever has happened to the store.
    assert.deepEqual(rulesOf([5, 'forgot', 'world', { from: 4 }], ...lower), ['not-greater'])
  })

  test('a waiter that gets a lower token than the holder before it', ({ assert }) => {
    const story: Told[] = [
      [0, 'asked', 'b'],
      ...granted(1, 'a', 5),
      ...released(3, 'a'),
      [9, 'granted', 'b', { token: '4', until: 1_000 }],
    ]
    assert.deepEqual(rulesOf(...story), ['not-in-turn'])
    // It may have been the first, if its lease was freed or forgotten, or if it heard of it only when that was over.
    assert.deepEqual(rulesOf([0, 'forcing', 'c'], [8, 'forced', 'c'], ...story), [])
    assert.deepEqual(rulesOf([0, 'forcing', 'c'], ...story, [12, 'force-failed', 'c']), ['error'])
    assert.deepEqual(rulesOf(...story, [12, 'forgot', 'world', { from: 2 }]), [])
    story[story.length - 1][3] = { token: '4', until: 8 }
    assert.deepEqual(rulesOf(...story), [])
  })

  test('a forced release of somebody who was killed may be performed later', ({ assert }) => {
    const story = historyOf(
      [0, 'forcing', 'c', { process: 'two' }],
      [1, 'died', 'c', { process: 'two' }],
      [2, 'asked', 'b'],
      ...granted(3, 'a', 5),
      [9, 'granted', 'b', { token: '4', until: 1_000 }]
    )
    assert.deepEqual(checkTokens(story).violations, [])
  })

  test('a storage that accepts what is out of date', ({ assert }) => {
    const late = written(10, 'a', 5, 'accepted')
    assert.deepEqual(rulesOf(...HANDED_ON, ...late), ['storage', 'old-write'])
    // What is on its way at the same time may come in any order.
    const meanwhile = [...HANDED_ON.slice(0, -1), ...late, [12, 'accepted', 'b', { token: '6' }]]
    assert.deepEqual(rulesOf(...(meanwhile as Told[])), [])
  })

  test('a storage that is fooled, since the later holder has the lower token', ({ assert }) => {
    const story: Told[] = [
      ...granted(0, 'a', 6),
      ...granted(3, 'b', 5),
      ...written(5, 'b', 5, 'accepted'),
      ...written(7, 'a', 6, 'accepted'),
    ]
    assert.deepEqual(rulesOf(...story), ['not-greater', 'old-write'])
  })

  test('a storage that refuses what is the latest, or what a holder writes', ({ assert }) => {
    assert.deepEqual(rulesOf(...granted(0, 'a', 5), ...written(2, 'a', 5, 'denied')), [
      'refused-latest',
    ])
    const story: Told[] = [
      ...granted(0, 'a', 5),
      ...granted(2, 'b', 6),
      ...written(4, 'b', 6, 'accepted'),
      ...written(6, 'a', 5, 'denied'),
    ]
    assert.deepEqual(rulesOf(...story), ['refused-holder'])
    assert.deepEqual(rulesOf(...story, [9, 'forgot', 'world', { from: 1 }]), [])
    assert.deepEqual(rulesOf([1, 'forcing', 'c'], [2, 'forced', 'c'], ...story), [])
  })

  test('calls that never end, unless somebody was killed over them', ({ assert }) => {
    const open: Told[] = [
      [0, 'asked', 'b'],
      ...granted(1, 'a', 5),
      [3, 'offering', 'a', { token: '5' }],
    ]
    assert.deepEqual(rulesOf(...open), ['unsettled', 'unsettled'])
    assert.deepEqual(rulesOf(...open, [9, 'died', 'a']), [])
  })

  test('errors that were not expected', ({ assert }) => {
    const told: Told[] = [
      [0, 'asked', 'b'],
      [1, 'ask-failed', 'b', { code: 'E_LOCK_STORAGE_ERROR' }],
      ...granted(2, 'a', 5),
      [4, 'offering', 'a', { token: '5' }],
      [5, 'offer-failed', 'a', { token: '5', code: 'ECONNRESET' }],
      [6, 'releasing', 'a'],
      [7, 'release-failed', 'a', { code: 'E_LOCK_STORAGE_ERROR' }],
    ]
    assert.deepEqual(rulesOf(...told), ['error', 'error', 'error'])
    const errors = ['E_LOCK_STORAGE_ERROR', 'ECONNRESET']
    const checked = checkTokens(historyOf(...told), { errors })
    assert.deepEqual(checked.violations, [])
    assert.deepEqual(checked.errors, { E_LOCK_STORAGE_ERROR: 2, ECONNRESET: 1 })
  })

  test('the storage of a fleet refuses lower tokens of the same key', ({ assert }) => {
    const storage = new Storage()
    const writes = ['5', '5', '7', '6', '7', '10'].map((token) => storage.write('k', token))
    assert.deepEqual(writes, [true, true, true, false, true, true])
    assert.isTrue(storage.write('other', '1'))
  })
})
