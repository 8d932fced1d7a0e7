/**
 * A client with the methods and the errors of a Prisma client, as far as `docs/custom-stores.md` uses them, over a real
 * database.
 */
import { setImmediate as turn } from 'node:timers/promises'

import Database from 'better-sqlite3'

interface Row {
  key: string
  owner: string
  expiration: bigint | null
}

interface Condition {
  lte?: bigint
  gt?: bigint
}

interface Where {
  key?: string
  owner?: string
  expiration?: Condition | null
  OR?: Where[]
}

/** As Prisma's, which is known by its code. */
export class KnownRequestError extends Error {
  override name = 'PrismaClientKnownRequestError'

  constructor(
    readonly code: string,
    message: string
  ) {
    super(message)
  }
}

/** What the double does instead of a statement, once. */
export type Failure = Error | undefined

/** The delegate of the model `Lock`. */
export class LockDelegate {
  /** Thrown by the next call. */
  failure: Failure
  readonly #database = new Database(':memory:').defaultSafeIntegers()

  constructor() {
    this.#database.exec(
      'CREATE TABLE locks (key TEXT PRIMARY KEY, owner TEXT NOT NULL, expiration INTEGER) STRICT'
    )
  }

  async createMany({ data }: { data: Row[] }): Promise<{ count: number }> {
    const insert = this.#database.prepare('INSERT INTO locks VALUES (:key, :owner, :expiration)')
    return this.#perform(() => {
      for (const row of data) insert.run(row)
      return { count: data.length }
    })
  }

  async updateMany({
    where,
    data,
  }: {
    where: Where
    data: Partial<Row>
  }): Promise<{ count: number }> {
    const names = Object.keys(data)
    const [condition, values] = conditionOf(where)
    const update = names.map((name) => `${name} = ?`).join(', ')
    const statement = this.#database.prepare(`UPDATE locks SET ${update} WHERE ${condition}`)
    return this.#perform(() => ({
      count: statement.run(...Object.values(data), ...values).changes,
    }))
  }

  async deleteMany({ where }: { where: Where }): Promise<{ count: number }> {
    const [condition, values] = conditionOf(where)
    const statement = this.#database.prepare(`DELETE FROM locks WHERE ${condition}`)
    return this.#perform(() => ({ count: statement.run(...values).changes }))
  }

  async findUnique({ where }: { where: { key: string } }): Promise<Row | null> {
    const statement = this.#database.prepare('SELECT * FROM locks WHERE key = ?')
    return this.#perform(() => (statement.get(where.key) as Row | undefined) ?? null)
  }

  async count({ where }: { where: Where }): Promise<number> {
    const [condition, values] = conditionOf(where)
    const statement = this.#database.prepare(`SELECT count(*) FROM locks WHERE ${condition}`)
    return this.#perform(() => Number(statement.pluck().get(...values)))
  }

  async #perform<T>(send: () => T): Promise<T> {
    await turn()
    const { failure } = this
    this.failure = undefined
    if (failure) throw failure
    try {
      const result = send()
      await turn()
      return result
    } catch (error) {
      if ((error as { code?: string }).code !== 'SQLITE_CONSTRAINT_PRIMARYKEY') throw error
      throw new KnownRequestError('P2002', 'Unique constraint failed on the fields: (`key`)')
    }
  }
}

/** SQL, and its values in order. */
function conditionOf(where: Where): [sql: string, values: unknown[]] {
  const parts: string[] = []
  const values: unknown[] = []
  for (const [name, wanted] of Object.entries(where)) {
    if (name === 'OR') {
      const options = (wanted as Where[]).map(conditionOf)
      parts.push(`(${options.map(([sql]) => sql).join(' OR ')})`)
      values.push(...options.flatMap(([, bound]) => bound))
    } else if (wanted === null) parts.push(`${name} IS NULL`)
    else if (typeof wanted === 'string') {
      parts.push(`${name} = ?`)
      values.push(wanted)
    } else {
      const { lte, gt, ...unknown } = wanted as Condition
      if (Object.keys(unknown).length > 0) throw new Error(`unknown: ${Object.keys(unknown)}`)
      if (lte !== undefined) parts.push(`${name} <= ?`)
      if (gt !== undefined) parts.push(`${name} > ?`)
      values.push(...[lte, gt].filter((one) => one !== undefined))
    }
  }
  return [parts.join(' AND '), values]
}
