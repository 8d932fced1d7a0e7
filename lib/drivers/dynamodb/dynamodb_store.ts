import { DeleteItemCommand, GetItemCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import type { AttributeValue } from '@aws-sdk/client-dynamodb'

import { parseDuration } from '../../duration.js'
import { E_LOCK_NOT_OWNED } from '../../errors.js'
import type { DynamoDbOptions, LockStore } from '../../types/main.js'
import { assertKey } from '../../validation.js'
import { ClientCalls } from '../client_calls.js'
import { assertOwner, parseExtension } from '../native_store.js'
import { Call } from './call.js'
import {
  deleting,
  ending,
  expiryOf,
  extending,
  firstToken,
  isEnded,
  isFree,
  isLive,
  isOwnedBy,
  isSaved,
  leaving,
  refuses,
  refusing,
  saving,
  takingBack,
  tokenOf,
} from './items.js'
import type { Item } from './items.js'
import { KnownEnds } from './known_ends.js'
import { settingsOf } from './options.js'
import type { DynamoDbSettings } from './options.js'
import { isConditionFailed, isMissingTable, storageError } from './service_errors.js'
import { storedText } from './stored_text.js'
import { Table } from './table.js'

/** How often an item is looked at anew that others change meanwhile. */
const ROUNDS = 4

/** What became of a conditional change. */
type Outcome =
  | { isDone: true }
  /** The condition failed; the item is the one it failed for, or a later one. */
  | { isDone: false; found: () => Promise<Item | undefined> }

/**
 * Keeps locks in a DynamoDB table over a client of the app: a lock is an item of key, owner and expires_at (milliseconds
 * since the Unix epoch, none for no expiry), as `@verrou/core` keeps it. DynamoDB has no clock that conditions could use,
 * so that of this process decides what has expired.
 *
 * Where the table is missing it is made with the first lock, unless `table.autoCreate` is `false`.
 */
export class DynamoDBStore implements LockStore {
  /** Whether locks are fenced unless they say otherwise. */
  readonly fencing: boolean
  readonly #settings: DynamoDbSettings
  readonly #table: Table
  readonly #calls = new ClientCalls('DynamoDB')
  readonly #ends = new KnownEnds()

  /**
   * Asks nothing of DynamoDB yet.
   *
   * @throws InvalidArgumentsException if the options can't be used
   */
  constructor(options: DynamoDbOptions) {
    this.#settings = settingsOf(options)
    this.fencing = this.#settings.isFencing
    this.#table = new Table(this.#settings)
  }

  /**
   * Saves the lock unless the key is locked already.
   *
   * @param ttl - Milliseconds; `null` for no expiry
   * @throws E_LOCK_STORAGE_ERROR if DynamoDB can't be asked
   */
  async save(key: string, owner: string, ttl: number | null): Promise<boolean> {
    return (await this.#acquire(key, owner, ttl, false)) !== undefined
  }

  /**
   * Like `save`, and takes a fencing token with the same request: greater than every one before in this table, and at least
   * the microseconds since the Unix epoch by the clock of this process.
   *
   * @param ttl - Milliseconds; `null` for no expiry
   * @throws E_LOCK_STORAGE_ERROR if DynamoDB can't be asked
   */
  async saveFenced(key: string, owner: string, ttl: number | null): Promise<bigint | false> {
    const token = await this.#acquire(key, owner, ttl, true)
    return token === undefined ? false : BigInt(token)
  }

  /**
   * Deletes the lock if `owner` holds it.
   *
   * @throws E_LOCK_NOT_OWNED if `owner` doesn't hold it; E_LOCK_STORAGE_ERROR if DynamoDB can't be asked
   */
  async delete(key: string, owner: string): Promise<void> {
    assertKey(key)
    assertOwner(owner)
    const [place, by] = [storedText(key), storedText(owner)]
    const now = Date.now()
    const wasOver = this.#ends.wasOver(place, by, now)
    const isFenced = this.#ends.isFenced(place, by)
    const isDone = await this.#ask((call) =>
      this.#free(call, place, by, { now, wasOver, isFenced })
    )
    this.#ends.forget(place, by)
    if (!isDone) throw new E_LOCK_NOT_OWNED()
  }

  /**
   * Deletes the lock whoever holds it. Who acquires it meanwhile keeps it.
   *
   * @throws E_LOCK_STORAGE_ERROR if DynamoDB can't be asked
   */
  async forceDelete(key: string): Promise<void> {
    assertKey(key)
    const place = storedText(key)
    await this.#ask(async (call) => {
      const item = await read(call, this.#of(place))
      // By its owner, for a request that is sent again must not hit the next one.
      const now = Date.now()
      const forced = { now, isForced: true, isFenced: tokenOf(item) !== undefined }
      if (item?.owner !== undefined) await this.#free(call, place, item.owner, forced)
      // What is free as it is may have a token to remember.
      else if (isLive(item, now)) await call.send(() => new DeleteItemCommand(this.#of(place)))
    })
  }

  /**
   * Tells whether somebody holds the lock.
   *
   * @throws E_LOCK_STORAGE_ERROR if DynamoDB can't be asked
   */
  async exists(key: string): Promise<boolean> {
    assertKey(key)
    const item = await this.#ask((call) => read(call, this.#of(storedText(key))))
    return isLive(item, Date.now())
  }

  /**
   * Makes the lease end `duration` milliseconds from now if `owner` holds it. An expired lease is not revived.
   *
   * @throws E_LOCK_NOT_OWNED if `owner` doesn't hold it; E_LOCK_STORAGE_ERROR if DynamoDB can't be asked
   */
  async extend(key: string, owner: string, duration: number): Promise<void> {
    assertKey(key)
    assertOwner(owner)
    const [place, by] = [storedText(key), storedText(owner)]
    const now = Date.now()
    const expiry = expiryOf(now, parseExtension(duration))!
    // Done twice it is the same, so it doesn't matter whether a try before has done it.
    const isFenced = this.#ends.isFenced(place, by)
    const { isDone } = await this.#ask((call) =>
      update(call, this.#of(place), extending(by, now, expiry, isFenced))
    )
    if (!isDone) throw new E_LOCK_NOT_OWNED()
    this.#ends.note(place, by, expiry, isFenced)
  }

  /** Saves the lock; the token if it was acquired, 0 where none is wanted. */
  async #acquire(
    key: string,
    owner: string,
    ttl: number | null,
    isFenced: boolean
  ): Promise<number | undefined> {
    assertKey(key)
    assertOwner(owner)
    const millis = parseDuration(ttl, 'lock TTL') || null
    const [place, by] = [storedText(key), storedText(owner)]
    const call = this.#open()
    // A lease is dated from before its request, and by that date its request is refused should it come too late.
    let lease: Lease = { place, owner: by, moment: 0, expiry: null }
    const performed = this.#perform(async () => {
      await this.#calls.untouched(owner)
      const now = Date.now()
      lease = { ...lease, moment: now, expiry: expiryOf(now, millis) }
      const token = isFenced ? await this.#saveFenced(call, lease) : await this.#save(call, lease)
      // Of several tries one may still be under way: when the lock is free again, that one must not get it.
      if (call.isDoubtful) await this.#refuse(call, lease, token !== undefined)
      if (token !== undefined) this.#ends.note(place, by, lease.expiry, isFenced)
      // A lease that is over before anybody has heard of it is none.
      return lease.expiry === null || Date.now() < lease.expiry ? token : undefined
    })
    try {
      return await this.#answer(call, performed)
    } catch (error) {
      const undo = () => this.#ask((undoing) => this.#refuse(undoing, lease, false))
      const acquiring = performed.then((token) => token !== undefined)
      this.#calls.undo(owner, acquiring, () => !call.isDoubtful, undo)
      throw error
    }
  }

  /** Saves a lease; 0 if the owner has it then. */
  async #save(call: Call, lease: Lease): Promise<0 | undefined> {
    const { place, owner, moment, expiry } = lease
    const outcome = await update(call, this.#of(place), saving(owner, moment, expiry))
    // What is in the way may be what a try before has saved.
    const isOurs =
      outcome.isDone || (call.isDoubtful && isSaved(await outcome.found(), owner, expiry))
    return isOurs ? 0 : undefined
  }

  /** Saves a lease with a token; the token if the owner has it then. */
  async #saveFenced(call: Call, lease: Lease): Promise<number | undefined> {
    const { place, owner, moment, expiry } = lease
    let token = firstToken(moment)
    // Once more where the key has had a token as great: the clock has been set back, or is behind somebody else's.
    for (let round = 0; round < ROUNDS; round++) {
      const outcome = await update(call, this.#of(place), saving(owner, moment, expiry, token))
      if (outcome.isDone) return token
      const item = await outcome.found()
      const last = tokenOf(item)
      if (call.isDoubtful && isSaved(item, owner, expiry)) return last
      if (!isFree(item, moment)) return undefined
      token = Math.max(token, (last ?? 0) + 1)
    }
    return undefined
  }

  /**
   * Ends an owner's lease; tells whether there was one.
   *
   * @param how - `wasOver`: it is known that the lease was over when its release was asked for; `isForced`: whether or not it
   * is over; `isFenced`: it is known to have a token
   */
  async #free(
    call: Call,
    place: string,
    owner: AttributeValue | string,
    how: { now: number; wasOver?: boolean; isForced?: boolean; isFenced?: boolean }
  ): Promise<boolean> {
    const { now, wasOver = false, isForced = false, isFenced = false } = how
    const of = this.#of(place)
    const change = deleting(owner, now, isForced)
    const remove = () =>
      attempt(call, of, (more) =>
        call.send(() => new DeleteItemCommand({ ...of, ...change, ...more }))
      )
    const leave = () => update(call, of, leaving(owner, now, isForced))
    let outcome = await (isFenced ? leave() : remove())
    for (let round = 1; !outcome.isDone; round++) {
      const item = await outcome.found()
      const isThere = isOwnedBy(item, owner) && (isForced || isLive(item, now))
      if (!isThere || round === ROUNDS) {
        // A try before may have done it.
        return call.isDoubtful && !wasOver && (isEnded(item) || !isOwnedBy(item, owner))
      }
      // It has what has to stay, or what should have stayed is gone.
      if (tokenOf(item) !== undefined) outcome = await leave()
      else if (item?.refused_until === undefined) outcome = await remove()
      else outcome = await update(call, of, ending(owner, now, isForced))
    }
    return true
  }

  /**
   * Has acquisitions refused that are still under way.
   *
   * @param isWanted - Whether the lease is kept if there is one
   */
  async #refuse(call: Call, lease: Lease, isWanted: boolean): Promise<void> {
    const { place, owner, moment, expiry } = lease
    const of = this.#of(place)
    for (let round = 0; round < ROUNDS; round++) {
      // A lease that was to be kept and isn't there any more has been freed by force.
      if (!isWanted || round > 0) {
        const outcome = await update(call, of, takingBack(owner, moment))
        if (outcome.isDone) return
        const item = await outcome.found()
        if (isSaved(item, owner, expiry) && refuses(item, moment)) {
          // Somebody else has had the like refused since.
          await update(call, of, ending(owner, moment, false))
          continue
        }
      }
      const outcome = await update(call, of, refusing(moment))
      if (outcome.isDone || refuses(await outcome.found(), moment)) return
    }
    throw new Error('others kept changing the item')
  }

  #of(place: string): ItemOf {
    return { TableName: this.#settings.tableName, Key: { key: { S: place } } }
  }

  #open(): Call {
    return new Call(this.#settings.connection, this.#settings.commandTimeout)
  }

  #ask<T>(send: (call: Call) => Promise<T>): Promise<T> {
    const call = this.#open()
    return this.#answer(
      call,
      this.#perform(() => send(call))
    )
  }

  /** Performs requests on the table; makes it first if it may and has to. */
  async #perform<T>(send: () => Promise<T>): Promise<T> {
    const { createsTable, tableName } = this.#settings
    for (let round = 1; ; round++) {
      try {
        return await send()
      } catch (error) {
        if (!createsTable || !isMissingTable(error) || round === ROUNDS) {
          throw storageError(error, tableName)
        }
        await this.#table.make()
      }
    }
  }

  async #answer<T>(call: Call, performed: Promise<T>): Promise<T> {
    const { commandTimeout, tableName } = this.#settings
    try {
      return await this.#calls.answer(commandTimeout, performed)
    } catch (error) {
      // Out of time between two tries: what the first one met says more than that there was no answer.
      throw call.failure === undefined ? error : storageError(call.failure, tableName)
    } finally {
      call.end()
    }
  }
}

/** What an acquisition wants to save. */
interface Lease {
  place: string
  owner: string
  /** When it was asked for; milliseconds since the Unix epoch. */
  moment: number
  expiry: number | null
}

/** Which item a command is about. */
interface ItemOf {
  TableName: string
  Key: Item
}

/** What makes a failed condition tell why it has failed. Not every server knows it. */
const TELLING = { ReturnValuesOnConditionCheckFailure: 'ALL_OLD' } as const

function update(call: Call, of: ItemOf, change: object): Promise<Outcome> {
  return attempt(call, of, (more) =>
    call.send(() => new UpdateItemCommand({ ...of, ...change, ...more }))
  )
}

async function attempt(
  call: Call,
  of: ItemOf,
  send: (more: typeof TELLING) => Promise<unknown>
): Promise<Outcome> {
  try {
    await send(TELLING)
    return { isDone: true }
  } catch (error) {
    if (!isConditionFailed(error)) throw error
    const { Item } = error as { Item?: Item }
    return { isDone: false, found: async () => Item ?? read(call, of) }
  }
}

/** Nothing that is older than the latest answer. */
async function read(call: Call, of: ItemOf): Promise<Item | undefined> {
  const { Item } = await call.send(() => new GetItemCommand({ ...of, ConsistentRead: true }))
  return Item
}
