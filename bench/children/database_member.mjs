/*
 * A process among others that lock the same key in a database.
 *
 * Arguments: the kind of database, the package that locks.
 */
import { openLocker } from '../harness/database_contenders.mjs'
import { serveAsMember } from '../harness/member.mjs'

const [kind, name] = process.argv.slice(2)
const locker = await openLocker(
  /** @type {import('../harness/database_servers.mjs').Kind} */ (kind),
  /** @type {import('../harness/database_servers.mjs').Locking} */ (name)
)
await serveAsMember(locker, 50)
