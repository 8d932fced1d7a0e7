/**
 * Fencing tokens over a client of the app. The tokens are in a table beside that of the locks, whose rows stay when locks go.
 *
 * A row there is changed only by whoever has the lock, in the same statement or transaction as takes it, or while it is held.
 * So it needs no lock of its own, and reading it comes after.
 */
import { isKeyConflict, isMissingTable } from './driver_errors.js'
import { sql } from './sql.js'
import type { Sql } from './sql.js'
import { endOf, expired, live, row, rowOf, upsert } from './statements.js'
import type { TableClient } from './table_client.js'

/**
 * Inserts a lock or takes over an expired one, and gives it a token.
 *
 * @returns The token; `false` if somebody else has the lock
 */
export async function saveFenced(
  client: TableClient,
  key: string,
  owner: string,
  ttl: number | null
): Promise<bigint | false> {
  const { hasUpsert, changesInQuery } = client.dialect
  if (changesInQuery) return tokenIn(await client.query(inOneStatement(client, key, owner, ttl)))
  if (hasUpsert) return saveAndRaise(client, key, owner, ttl)
  // Looked at first: an insert that fails leaves a lock on the row that would be in the way of others until the end of the
  // transaction, and of each other.
  const found = await stateOf(client, key)
  if (found === 'held') return false
  try {
    return await client.transaction(async (inner) => {
      const expiration = endOf(inner, ttl)
      if (found === 'none') await inner.insert({ key, owner, expiration })
      else {
        const condition = sql`${row(inner, key)} and ${expired(inner)}`
        if ((await inner.update({ owner, expiration }, condition)) === 0) return false
      }
      return raise(inner, key)
    })
  } catch (error) {
    if (found === 'expired' || isMissingTable(error)) throw error
    if (!isKeyConflict(error)) {
      // An error that isn't known may be one of the key: then there is a row of somebody else.
      const others = await client.select(sql`${row(client, key)} and ${client.owner} <> ${owner}`)
      if (others.length === 0) throw error
    }
    return false
  }
}

/** Microseconds since the Unix epoch, by the database's clock where there is one. */
function microsOf({ dialect }: TableClient): Sql | number {
  return dialect.micros ?? Date.now() * 1000
}

/** Saves the lock, and a token of what has been saved. */
function inOneStatement(client: TableClient, key: string, owner: string, ttl: number | null): Sql {
  const { table, key: name, token } = client.fences
  return sql`with saved as (${upsert(client, key, owner, ttl)})
    insert into ${table} as fence (${name}, ${token}) select ${key}, ${microsOf(client)} from saved
    on conflict (${name}) do update set ${token} = greatest(fence.${token} + 1, excluded.${token})
    returning ${token}`
}

/**
 * For SQLite, without a transaction: its drivers are mostly synchronous, so that one which is open while the event loop turns
 * would block whoever writes on the same thread over another connection, and itself by that. The token is taken only while the
 * lock is held, so it is as if both were taken together.
 */
async function saveAndRaise(
  client: TableClient,
  key: string,
  owner: string,
  ttl: number | null
): Promise<bigint | false> {
  const saved = await client.query(upsert(client, key, owner, ttl))
  if (saved.length === 0) return false
  try {
    // None if the lease is over already, or has been freed by force.
    return tokenIn(await client.query(raisingIfHeld(client, key, owner)))
  } catch (error) {
    // Without a token there is no lock. Nobody may take the error for one that says that nothing has been done.
    await client.remove(rowOf(client, key, owner)).catch(() => {
      throw new Error('the fencing token of a lock could not be saved', { cause: error })
    })
    throw error
  }
}

/** The next token of a key that the owner holds, as a row. */
function raisingIfHeld(client: TableClient, key: string, owner: string): Sql {
  const { table, key: name, token } = client.fences
  const held = sql`${rowOf(client, key, owner)} and ${live(client)}`
  return sql`insert into ${table} as fence (${name}, ${token})
    select ${key}, ${microsOf(client)} from ${client.table} where ${held}
    on conflict (${name}) do update set ${token} = max(fence.${token} + 1, excluded.${token})
    returning ${token}`
}

/** The next token of a key, with statements that every database has. */
async function raise(client: TableClient, key: string): Promise<bigint> {
  const { table, key: name, token } = client.fences
  const now = microsOf(client)
  const read = () => client.query(sql`select ${token} from ${table} where ${name} = ${key}`)
  const isNew = tokenIn(await read()) === false
  await client.query(
    isNew
      ? sql`insert into ${table} (${name}, ${token}) values (${key}, ${now})`
      : sql`update ${table} set ${token} = case when ${token} < ${now} then ${now} else ${token} + 1 end where ${name} = ${key}`
  )
  const raised = tokenIn(await read())
  if (raised === false) throw new Error('the fencing token of the key has gone')
  return raised
}

/** What there is of a key. */
async function stateOf(client: TableClient, key: string): Promise<'none' | 'held' | 'expired'> {
  const isLive = sql`case when ${live(client)} then 1 else 0 end`
  const rows = await client.query(
    sql`select ${isLive} as is_live from ${client.table} where ${row(client, key)}`
  )
  const value = valueIn(rows)
  if (value === undefined) return 'none'
  return Number(value) === 1 ? 'held' : 'expired'
}

/** The token in the first row; drivers return 64-bit numbers in ways of their own. */
function tokenIn(rows: unknown[]): bigint | false {
  const value = valueIn(rows)
  return value === undefined ? false : BigInt(value as string | number | bigint)
}

/** The only value of the first row, whatever its name is made of it. */
function valueIn([first]: unknown[]): unknown {
  return first === undefined ? undefined : Object.values(first as object)[0]
}
