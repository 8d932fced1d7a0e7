/**
 * The file in which Postgres clients look for passwords: lines of `host:port:database:user:password`, where `*` fits
 * everything.
 */
import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Others than its owner may not read it. */
const OPEN_TO_OTHERS = 0o077

export interface Login {
  host: string
  port: number
  database: string | undefined
  username: string | undefined
}

/**
 * The password of the first line that fits; nothing if there is none, or no such file.
 */
export function passwordOfFile({ host, port, database, username }: Login): string | undefined {
  const lines = linesOf(process.env.PGPASSFILE ?? join(homedir(), '.pgpass'))
  const wanted = [host.startsWith('/') ? 'localhost' : host, String(port), database, username]
  for (const line of lines) {
    const fields = (line.match(/(?:\\.|[^:\\])*(?::|$)/gs) ?? []).slice(0, 5)
    const [one, two, three, four, password] = fields.map((field) =>
      field.replace(/:$/, '').replace(/\\(.)/gs, '$1')
    )
    if (password === undefined || line.startsWith('#')) continue
    const given = [one, two, three, four]
    if (given.every((field, at) => field === '*' || field === wanted[at])) return password
  }
  return undefined
}

function linesOf(file: string): string[] {
  try {
    const { mode } = statSync(file)
    if (process.platform !== 'win32' && (mode & OPEN_TO_OTHERS) !== 0) return []
    return readFileSync(file, 'utf8').split(/\r?\n/)
  } catch {
    return []
  }
}
