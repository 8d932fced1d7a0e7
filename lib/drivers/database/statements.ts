/**
 * The statements that stores on a client of the app send, and the conditions in them.
 */
import { endOfLease } from './options.js'
import { raw, sql } from './sql.js'
import type { Sql } from './sql.js'
import type { TableClient } from './table_client.js'

/** Creates the table. */
export function createStatement({ dialect, table, key, owner, expiration }: TableClient): Sql {
  const { text, integer, hasIfNotExists } = dialect
  const unless = raw(hasIfNotExists ? 'if not exists ' : '')
  return sql`create table ${unless}${table}
    (${key} ${text} not null primary key, ${owner} ${text} not null, ${expiration} ${integer} null)`
}

/** Creates the table of the fencing tokens. */
export function createFencesStatement({ dialect, fences }: TableClient): Sql {
  const { text, hasIfNotExists } = dialect
  const unless = raw(hasIfNotExists ? 'if not exists ' : '')
  return sql`create table ${unless}${fences.table}
    (${fences.key} ${text} not null primary key, ${fences.token} bigint not null)`
}

/** Inserts a lock or takes over an expired one, and returns a row if it did. */
export function upsert(client: TableClient, by: string, holder: string, ttl: number | null): Sql {
  const { table, key, owner, expiration } = client
  return sql`insert into ${table} as held (${key}, ${owner}, ${expiration})
    values (${by}, ${holder}, ${endOf(client, ttl)})
    on conflict (${key}) do update set ${owner} = excluded.${owner}, ${expiration} = excluded.${expiration}
    where held.${expiration} <= ${nowOf(client)} returning ${owner}`
}

/** The row of a key. */
export function row(client: TableClient, key: string): Sql {
  return sql`${client.key} = ${key}`
}

/** The row of a key if it is the owner's. */
export function rowOf(client: TableClient, key: string, owner: string): Sql {
  return sql`${row(client, key)} and ${client.owner} = ${owner}`
}

export function live(client: TableClient): Sql {
  const { expiration } = client
  return sql`(${expiration} is null or ${expiration} > ${nowOf(client)})`
}

export function expired(client: TableClient): Sql {
  return sql`${client.expiration} <= ${nowOf(client)}`
}

export function nowOf({ dialect }: TableClient): Sql | number {
  return dialect.now ?? Date.now()
}

export function endOf({ dialect }: TableClient, ttl: number | null): Sql | number | null {
  if (ttl === null) return null
  return dialect.start === undefined ? endOfLease(ttl) : sql`${dialect.start} + ${ttl}`
}
