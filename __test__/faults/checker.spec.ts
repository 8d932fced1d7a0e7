/**
 * The checker on histories made by hand: what is wrong is found, what is right is let pass.
 */
import { test } from '@japa/runner'
import { assertRight, check } from './checker.js'
import type { CheckOptions, Violation } from './checker.js'
import type { HistoryEvent, LeaseEvent } from './history.js'

/** Leases of 10 seconds on one key, unless told otherwise. */
class Tale {
  readonly events: HistoryEvent[] = []

  /** An event of the lease `owner`, whose process bears the same name in capitals. */
  tell(at: number, owner: string, kind: LeaseEvent['kind'], more: Partial<LeaseEvent> = {}): this {
    const event = { kind, at, process: owner.toUpperCase(), key: 'k', owner, ...more }
    this.events.push(event)
    return this
  }

  ask(at: number, owner: string, more: Partial<LeaseEvent> = {}): this {
    return this.tell(at, owner, 'asked', { ttl: 10_000, ...more })
  }

  grant(at: number, owner: string, more: Partial<LeaseEvent> = {}): this {
    return this.tell(at, owner, 'granted', { until: at + 9_990, ...more })
  }

  release(at: number, owner: string, more: Partial<LeaseEvent> = {}): this {
    return this.tell(at, owner, 'releasing', more).tell(at + 1, owner, 'released', more)
  }

  /** Asked, granted after a millisecond, released. */
  hold(from: number, to: number, owner: string): this {
    return this.ask(from - 1, owner)
      .grant(from, owner)
      .release(to, owner)
  }

  fail(at: number, owner: string, kind: LeaseEvent['kind'], code: string): this {
    return this.tell(at, owner, kind, { code, message: 'in words' })
  }

  happen(event: HistoryEvent): this {
    this.events.push(event)
    return this
  }

  check(options: Partial<CheckOptions> = {}) {
    return check(this.events, { patience: 2_000, ...options })
  }

  /** The rules that were broken. */
  broken(options?: Partial<CheckOptions>): Violation['rule'][] {
    return this.check(options).violations.map(({ rule }) => rule)
  }
}

const LOST = 'E_LOCK_NOT_OWNED'
const DOWN = 'E_LOCK_STORAGE_ERROR'

test.group('checker | two leases', () => {
  test('one after another is right', ({ assert }) => {
    const tale = new Tale().hold(100, 200, 'a').hold(202, 300, 'b').ask(150, 'c')
    assert.deepEqual(tale.grant(302, 'c').release(400, 'c').broken(), [])
  })

  test('one while another is held is wrong', ({ assert }) => {
    const { violations } = new Tale().hold(100, 200, 'a').hold(150, 300, 'b').check()
    assert.lengthOf(violations, 1)
    assert.equal(violations[0].rule, 'two-leases')
    assert.match(violations[0].message, /b of B.*while a of A had it, for another 50\.0 ms/)
  })

  test('it is wrong between leases of which a third was granted in between', ({ assert }) => {
    const tale = new Tale().hold(100, 900, 'a').hold(200, 210, 'b').hold(300, 400, 'c')
    assert.deepEqual(tale.broken(), ['two-leases', 'two-leases'])
  })

  test('a lease ends for its holder when its release is about to be called', ({ assert }) => {
    const slow = new Tale().ask(0, 'a').grant(1, 'a').tell(100, 'a', 'releasing')
    assert.deepEqual(slow.hold(101, 200, 'b').tell(300, 'a', 'released').broken(), [])
  })

  test('different keys have nothing to do with each other', ({ assert }) => {
    const tale = new Tale().hold(100, 200, 'a')
    tale.ask(110, 'b', { key: 'other' }).grant(111, 'b', { key: 'other' })
    assert.deepEqual(tale.release(120, 'b', { key: 'other' }).broken(), [])
  })

  test('a lease that was never released lasts until its holder no longer believes in it', ({
    assert,
  }) => {
    const until = (at: number) =>
      new Tale()
        .ask(0, 'a')
        .grant(10, 'a', { until: 10_000 })
        .hold(at, at + 1, 'b')
    assert.deepEqual(until(10_000).broken(), [])
    assert.deepEqual(until(9_900).broken(), ['two-leases'])
  })

  test('a lease of which its holder learns when it is over takes nothing from the next one', ({
    assert,
  }) => {
    const late = (until: number) =>
      new Tale().ask(0, 'a').hold(10, 110, 'b').grant(60, 'a', { until })
    assert.deepEqual(late(60).broken(), [])
    assert.deepEqual(late(90).broken(), ['two-leases'])
  })

  test('a holder that died keeps its lease until its end', ({ assert }) => {
    const tale = new Tale().ask(0, 'a').grant(10, 'a', { until: 10_000 })
    tale.happen({ kind: 'died', at: 20, process: 'A' })
    assert.deepEqual(tale.hold(5_000, 5_001, 'b').broken(), ['two-leases'])
  })

  test('a lease that was extended lasts longer', ({ assert }) => {
    const tale = new Tale().ask(0, 'a').grant(10, 'a', { until: 10_000 })
    tale
      .tell(8_000, 'a', 'extending', { ttl: 10_000 })
      .tell(8_010, 'a', 'extended', { until: 18_000 })
    assert.deepEqual(tale.hold(17_000, 17_001, 'b').broken(), ['two-leases'])
  })

  test('a lease without TTL lasts for ever', ({ assert }) => {
    const tale = new Tale().ask(0, 'a', { ttl: null }).grant(10, 'a', { until: null })
    assert.deepEqual(tale.hold(9e8, 9e8 + 1, 'b').broken(), ['two-leases'])
  })

  test('what a store forgot in between is excused, what came before and after is not', ({
    assert,
  }) => {
    const tale = new Tale().hold(100, 900, 'a').hold(500, 600, 'b')
    assert.deepEqual(tale.broken(), ['two-leases'])
    tale.happen({ kind: 'forgot', from: 300, at: 400 })
    assert.deepEqual(tale.broken(), [])
    assert.deepEqual(tale.hold(450, 490, 'c').hold(460, 470, 'd').broken(), ['two-leases'])
  })
})

test.group('checker | waiting for nobody', () => {
  test('who waits for holders waits as long as it takes', ({ assert }) => {
    const tale = new Tale().hold(100, 5_000, 'a').hold(5_002, 9_900, 'b').ask(101, 'c')
    assert.deepEqual(tale.grant(9_905, 'c').release(9_906, 'c').broken(), [])
  })

  test('who waits for its own lease is found', ({ assert }) => {
    const { violations, longestVacancy } = new Tale()
      .ask(100, 'a')
      .grant(10_100, 'a')
      .release(10_200, 'a')
      .check()
    assert.deepEqual(
      violations.map(({ rule }) => rule),
      ['self-wait']
    )
    assert.equal(longestVacancy, 10_000)
  })

  test('who is refused by its own lease is found', ({ assert }) => {
    assert.deepEqual(new Tale().ask(100, 'a').tell(5_100, 'a', 'refused').broken(), ['self-wait'])
  })

  test('who waits for a lease that somebody else gave up is found', ({ assert }) => {
    const tale = new Tale().ask(100, 'a').fail(1_100, 'a', 'ask-failed', DOWN)
    tale.ask(1_200, 'b').grant(10_100, 'b').release(10_200, 'b')
    assert.deepEqual(tale.broken({ errors: [DOWN] }), ['unknown-lease'])
  })

  test('time with a holder in between is not counted together', ({ assert }) => {
    const tale = new Tale().hold(1_500, 1_600, 'a').hold(3_100, 3_200, 'b').ask(0, 'c')
    assert.deepEqual(tale.grant(4_700, 'c').release(4_701, 'c').broken(), [])
    assert.deepEqual(tale.broken({ patience: 1_400 }), ['unknown-lease'])
  })

  test('a lease whose release failed may be there until it ends', ({ assert }) => {
    const tale = new Tale().ask(0, 'a').grant(10, 'a').tell(20, 'a', 'releasing')
    tale.fail(30, 'a', 'release-failed', DOWN).ask(50, 'b').grant(10_020, 'b').release(10_021, 'b')
    assert.deepEqual(tale.broken({ errors: [DOWN] }), [])
    assert.deepEqual(tale.broken(), ['error'])
  })

  test('a holder that died leaves its lease, and so may a waiter', ({ assert }) => {
    const holder = new Tale()
      .ask(0, 'a')
      .grant(10, 'a')
      .happen({ kind: 'died', at: 20, process: 'A' })
    assert.deepEqual(holder.ask(50, 'b').grant(10_010, 'b').release(10_020, 'b').broken(), [])
    const waiter = new Tale().ask(0, 'a').happen({ kind: 'died', at: 20, process: 'A' })
    assert.deepEqual(waiter.ask(50, 'b').grant(10_010, 'b').release(10_020, 'b').broken(), [])
    assert.deepEqual(waiter.ask(15_000, 'c').grant(18_000, 'c').release(18_020, 'c').broken(), [
      'unknown-lease',
    ])
  })
})

test.group('checker | what is left, lost, revived, unsettled', () => {
  test('a key that nobody can have left is found', ({ assert }) => {
    const found = { kind: 'found', at: 5_000, key: 'k' } as const
    assert.deepEqual(new Tale().hold(100, 200, 'a').happen(found).broken(), ['left-behind'])
    const failed = new Tale().ask(100, 'a').fail(200, 'a', 'ask-failed', DOWN).happen(found)
    assert.deepEqual(failed.broken({ errors: [DOWN] }), ['left-behind'])
    const held = new Tale().ask(100, 'a').grant(200, 'a').happen(found)
    assert.deepEqual(held.broken(), [])
    const dead = new Tale().ask(100, 'a').happen({ kind: 'died', at: 200, process: 'A' })
    assert.deepEqual(dead.happen(found).broken(), [])
    assert.deepEqual(dead.happen({ ...found, at: 10_300 }).broken(), ['left-behind'])
  })

  test('a lease that is gone before its time is lost', ({ assert }) => {
    const tale = () => new Tale().ask(0, 'a').grant(10, 'a', { until: 10_000 })
    const early = tale().tell(9_000, 'a', 'releasing').fail(9_001, 'a', 'release-failed', LOST)
    assert.deepEqual(early.broken(), ['lost'])
    const excused = early.happen({ kind: 'forgot', from: 50, at: 60 })
    assert.deepEqual(excused.broken(), [])
    const noticedLater = tale()
      .tell(9_000, 'a', 'releasing')
      .fail(9_001, 'a', 'release-failed', LOST)
    assert.deepEqual(noticedLater.happen({ kind: 'forgot', from: 50, at: 9_500 }).broken(), [])
    const late = tale().tell(10_100, 'a', 'releasing').fail(10_101, 'a', 'release-failed', LOST)
    assert.deepEqual(late.broken(), [])
    const twice = tale().release(100, 'a').tell(200, 'a', 'releasing')
    assert.deepEqual(twice.fail(201, 'a', 'release-failed', LOST).broken(), [])
    const again = tale().tell(100, 'a', 'releasing').fail(101, 'a', 'release-failed', DOWN)
    again.tell(102, 'a', 'releasing').fail(103, 'a', 'release-failed', LOST)
    assert.deepEqual(again.broken({ errors: [DOWN] }), [])
    const extended = tale().tell(100, 'a', 'extending').fail(101, 'a', 'extend-failed', LOST)
    assert.deepEqual(extended.broken(), ['lost'])
  })

  test('a lease that is over is neither released nor extended', ({ assert }) => {
    const tale = () => new Tale().ask(0, 'a').grant(10, 'a', { until: 10_000 })
    assert.deepEqual(tale().release(10_005, 'a').broken(), [])
    assert.deepEqual(tale().release(10_100, 'a').broken(), ['revived'])
    const extended = tale().tell(10_100, 'a', 'extending', { ttl: 10_000 })
    extended.tell(10_101, 'a', 'extended', { until: 20_000 }).release(10_200, 'a')
    assert.deepEqual(extended.broken(), ['revived'])
  })

  test('somebody else may release what was restored', ({ assert }) => {
    const tale = new Tale().ask(0, 'a').grant(10, 'a').tell(100, 'a', 'releasing', { process: 'B' })
    assert.deepEqual(tale.tell(101, 'a', 'released', { process: 'B' }).broken(), [])
  })

  test('a call that never ends is found, unless its process died', ({ assert }) => {
    const asked = new Tale().ask(0, 'a')
    assert.deepEqual(asked.broken(), ['unsettled'])
    assert.deepEqual(asked.happen({ kind: 'died', at: 10, process: 'A' }).broken(), [])
    const releasing = new Tale().ask(0, 'a').grant(1, 'a').tell(2, 'a', 'releasing')
    assert.deepEqual(releasing.broken(), ['unsettled'])
  })

  test('errors are counted, and wrong unless they were allowed', ({ assert }) => {
    const tale = new Tale().ask(0, 'a').fail(1, 'a', 'ask-failed', DOWN)
    tale.ask(2, 'b').fail(3, 'b', 'ask-failed', 'ECONNRESET')
    const { violations, errors, failed } = tale.check({ errors: [DOWN] })
    assert.deepEqual(
      violations.map(({ rule, message }) => [rule, /ECONNRESET/.test(message)]),
      [['error', true]]
    )
    assert.deepEqual([errors, failed], [{ [DOWN]: 1, ECONNRESET: 1 }, 2])
  })

  test('an update that is lost is found, unless it was written too late', ({ assert }) => {
    const write = (at: number, owner: string, value: number) =>
      ({ kind: 'wrote', at, process: owner.toUpperCase(), key: 'k', owner, value }) as const
    const tale = () =>
      new Tale()
        .hold(100, 200, 'a')
        .hold(300, 400, 'b')
        .happen(write(150, 'a', 1))
    assert.deepEqual(
      tale()
        .happen(write(350, 'b', 2))
        .broken(),
      []
    )
    assert.deepEqual(
      tale()
        .happen(write(350, 'b', 1))
        .broken(),
      ['lost-update']
    )
    assert.deepEqual(
      tale()
        .happen(write(20_000, 'b', 1))
        .broken(),
      []
    )
    assert.deepEqual(
      tale()
        .happen(write(350, 'c', 2))
        .broken(),
      ['history']
    )
  })

  test('a history that cannot be is found', ({ assert }) => {
    assert.deepEqual(new Tale().grant(1, 'a').broken(), ['history'])
    assert.deepEqual(new Tale().ask(1, 'a').grant(2, 'a').grant(3, 'a').broken(), ['history'])
    assert.deepEqual(new Tale().hold(2, 3, 'a').ask(4, 'a').broken(), ['history'])
    const undead = new Tale().happen({ kind: 'died', at: 1, process: 'A' }).hold(2, 3, 'a')
    assert.include(undead.broken(), 'history')
  })

  test('a wrong history is an error that names what is wrong', ({ assert }) => {
    const tale = new Tale().hold(100, 200, 'a').hold(150, 300, 'b')
    assert.throws(
      () => assertRight(tale.events, { patience: 1_000 }),
      /two-leases \(1\):\n- "k" granted at/
    )
    const right = assertRight(new Tale().hold(100, 200, 'a').events, { patience: 1_000 })
    assert.deepEqual([right.asked, right.granted, right.refused, right.longestWait], [1, 1, 0, 1])
  })
})
