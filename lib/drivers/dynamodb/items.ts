/**
 * The format of the items, and the conditions under which they change.
 *
 * - `key`, `owner` (strings) and `expires_at` (milliseconds since the Unix epoch, none for no expiry) are as
 *   `@verrou/core` has them. An item is live up to and including that millisecond.
 * - `delete_after` (seconds since the Unix epoch) is for DynamoDB's own clean-up, long after the lease.
 * - `refused_until` (milliseconds since the Unix epoch) is there only after a request whose fate isn't known: an acquisition
 *   that is dated so early and still under way somewhere must not succeed any more. Such an item outlives the lock.
 * - `fencing_token` (a number) is there once the key has been locked with fencing: the last token. Such an item outlives the
 *   lock, too: without `owner`, and with an `expires_at` of 0, so that everybody takes it for free. Whoever writes the whole
 *   item anew, as `@verrou/core` does with every lock, drops it; the next token is then that of the clock.
 */
import type { AttributeValue } from '@aws-sdk/client-dynamodb'

export type Item = Record<string, AttributeValue>

/** The attribute that DynamoDB's own clean-up looks at. */
export const CLEAN_UP_ATTRIBUTE = 'delete_after'

/** Seconds between the end of a lease and its clean-up: more than clocks are apart. */
const CLEAN_UP_SLACK = 3_600

/** The same for an item with a fencing token: long after any write that an old token could come with. */
const FENCE_SLACK = 7 * 24 * 3_600

/** Milliseconds after which no request is under way any more. */
const LONGEST_WAY = 60_000

/** Numbers have 38 digits there, but here 15. */
const LATEST = Number.MAX_SAFE_INTEGER

const IS_LIVE = '(attribute_not_exists(#expires_at) OR #expires_at >= :now)'
const IS_OURS = '#owner = :owner'
const IS_FREE = '(attribute_not_exists(#key) OR #expires_at < :now)'
const IS_NOT_REFUSED = '(attribute_not_exists(#refused_until) OR #refused_until < :now)'
const MAY_GO =
  '(attribute_not_exists(#refused_until) OR #refused_until < :past) AND attribute_not_exists(#fencing_token)'
const IS_GREATER = '(attribute_not_exists(#fencing_token) OR #fencing_token < :fencing_token)'

/** A condition or change, with all names and values that it mentions. */
interface Expressed {
  UpdateExpression?: string
  ConditionExpression?: string
  ExpressionAttributeNames: Record<string, string>
  ExpressionAttributeValues?: Item
}

/** Milliseconds since the Unix epoch at which a lease of now ends; `null` if it doesn't. */
export function expiryOf(now: number, ttl: number | null): number | null {
  return ttl === null ? null : Math.min(now + ttl, LATEST)
}

/**
 * The lease begins, if the key is free.
 *
 * @param token - The fencing token, if it is to bear one: then only if the key has had none as great
 */
export function saving(
  owner: string,
  now: number,
  expiry: number | null,
  token?: number
): Expressed {
  const isFenced = token !== undefined
  const set = isFenced ? 'SET #fencing_token = :fencing_token,' : 'SET'
  const change =
    expiry === null
      ? '#owner = :owner REMOVE #expires_at, #delete_after'
      : '#owner = :owner, #expires_at = :expires_at, #delete_after = :delete_after'
  return expressed({
    UpdateExpression: `${set} ${change}`,
    ConditionExpression: [IS_FREE, IS_NOT_REFUSED, ...(isFenced ? [IS_GREATER] : [])].join(' AND '),
    values: {
      owner,
      now,
      ...(expiry !== null && endingAt(expiry, isFenced)),
      ...(isFenced && { fencing_token: token }),
    },
  })
}

/** The item goes, if the owner has the lock, nothing under way has to be refused and no token is to be remembered. */
export function deleting(
  owner: AttributeValue | string,
  now: number,
  isForced: boolean
): Expressed {
  return expressed({
    ConditionExpression: `${isForced ? IS_OURS : `${IS_OURS} AND ${IS_LIVE}`} AND ${MAY_GO}`,
    values: { owner, past: now - LONGEST_WAY, ...(!isForced && { now }) },
  })
}

/** The lease ends and the item stays: an acquisition that is still under way has to be refused. */
export function ending(owner: AttributeValue | string, now: number, isForced: boolean): Expressed {
  return expressed({
    UpdateExpression: 'SET #expires_at = #refused_until, #delete_after = :delete_after',
    ConditionExpression: `${isForced ? IS_OURS : `${IS_OURS} AND ${IS_LIVE}`} AND attribute_exists(#refused_until)`,
    values: { owner, delete_after: cleanUpOf(now), ...(!isForced && { now }) },
  })
}

/** The lease ends and the item stays, as nobody's: it has a token to remember. */
export function leaving(owner: AttributeValue | string, now: number, isForced: boolean): Expressed {
  return expressed({
    UpdateExpression: 'SET #expires_at = :never, #delete_after = :delete_after REMOVE #owner',
    ConditionExpression: `${isForced ? IS_OURS : `${IS_OURS} AND ${IS_LIVE}`} AND attribute_exists(#fencing_token)`,
    values: {
      owner,
      never: 0,
      delete_after: cleanUpOf(now, true),
      ...(!isForced && { now }),
    },
  })
}

/** The lease ends later, if the owner has the lock. */
export function extending(
  owner: string,
  now: number,
  expiry: number,
  isFenced: boolean
): Expressed {
  return expressed({
    UpdateExpression: 'SET #expires_at = :expires_at, #delete_after = :delete_after',
    ConditionExpression: `${IS_OURS} AND ${IS_LIVE}`,
    values: { owner, now, ...endingAt(expiry, isFenced) },
  })
}

/** Acquisitions of that moment are refused from now on, whoever has the lock. */
export function refusing(moment: number): Expressed {
  return expressed({
    UpdateExpression: 'SET #refused_until = :now',
    ConditionExpression: `attribute_exists(#key) AND ${IS_NOT_REFUSED}`,
    values: { now: moment },
  })
}

/** The same, and the owner's lease ends if there is one; where there is no item, one is left that refuses them. */
export function takingBack(owner: string, moment: number): Expressed {
  return expressed({
    UpdateExpression:
      'SET #owner = :owner, #expires_at = :now, #delete_after = :delete_after, #refused_until = :now',
    // Once only: should it be under way twice, the owner may have a later lease in between.
    ConditionExpression: `(attribute_not_exists(#key) OR ${IS_OURS}) AND ${IS_NOT_REFUSED}`,
    values: { owner, now: moment, delete_after: cleanUpOf(moment) },
  })
}

export function isLive(item: Item | undefined, now: number): boolean {
  if (item === undefined) return false
  const expiry = item.expires_at?.N
  return expiry === undefined || Number(expiry) >= now
}

/** Whether an acquisition of that moment could have it. */
export function isFree(item: Item | undefined, moment: number): boolean {
  return !isLive(item, moment) && !refuses(item, moment)
}

/** The last fencing token of its key, as far as is known. */
export function tokenOf(item: Item | undefined): number | undefined {
  const token = item?.fencing_token?.N
  return token === undefined ? undefined : Number(token)
}

/** The least token that an acquisition may have, by the clock. */
export function firstToken(now: number): number {
  return now * 1000
}

export function isOwnedBy(item: Item | undefined, owner: AttributeValue | string): boolean {
  const found = item?.owner?.S
  return found !== undefined && found === (typeof owner === 'string' ? owner : owner.S)
}

/** Whether it is what an acquisition has saved. */
export function isSaved(item: Item | undefined, owner: string, expiry: number | null): boolean {
  if (!isOwnedBy(item, owner)) return false
  const found = item?.expires_at?.N
  return expiry === null ? found === undefined : found !== undefined && Number(found) === expiry
}

/** Whether it refuses acquisitions of a moment. */
export function refuses(item: Item | undefined, moment: number): boolean {
  return Number(item?.refused_until?.N ?? Number.NaN) >= moment
}

/** Whether it is what is left after a release, and refuses what is still under way: perhaps more than it did at first. */
export function isEnded(item: Item | undefined): boolean {
  const end = item?.expires_at?.N
  return end !== undefined && refuses(item, Number(end))
}

function endingAt(expiry: number, isFenced: boolean) {
  return { expires_at: expiry, delete_after: cleanUpOf(expiry, isFenced) }
}

function cleanUpOf(expiry: number, isFenced = false): number {
  return Math.ceil(expiry / 1000) + (isFenced ? FENCE_SLACK : CLEAN_UP_SLACK)
}

function expressed({
  UpdateExpression,
  ConditionExpression,
  values,
}: {
  UpdateExpression?: string
  ConditionExpression: string
  values: Record<string, AttributeValue | string | number>
}): Expressed {
  const text = `${UpdateExpression} ${ConditionExpression}`
  // An expression may be given no name that it doesn't mention.
  const names = new Set(Array.from(text.matchAll(/#(\w+)/g), ([, name]) => name))
  return {
    ...(UpdateExpression !== undefined && { UpdateExpression }),
    ConditionExpression,
    ExpressionAttributeNames: Object.fromEntries([...names].map((name) => [`#${name}`, name])),
    ExpressionAttributeValues: Object.fromEntries(
      Object.entries(values).map(([name, value]) => [`:${name}`, attributeOf(value)])
    ),
  }
}

function attributeOf(value: AttributeValue | string | number): AttributeValue {
  if (typeof value === 'string') return { S: value }
  return typeof value === 'number' ? { N: String(value) } : value
}
