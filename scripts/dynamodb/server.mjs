// One DynamoDB server (dynalite) on 127.0.0.1, as a process of its own.
import { fileURLToPath } from 'node:url'

import { HOST, ServerProcess, startIn } from '../servers/process.mjs'

const PROGRAM = fileURLToPath(new URL('dynalite.mjs', import.meta.url))

class DynamoServer extends ServerProcess {
  name = 'DynamoDB server'
  #createTableMillis

  constructor(port, folder, { createTableMillis = 20 }) {
    super(port, folder)
    this.#createTableMillis = createTableMillis
  }

  get endpoint() {
    return `http://${HOST}:${this.port}`
  }

  command() {
    return [process.execPath, PROGRAM, String(this.port), String(this.#createTableMillis)]
  }

  async answers() {
    try {
      const answer = await fetch(this.endpoint, { signal: AbortSignal.timeout(1000) })
      const text = await answer.text()
      return text.startsWith('healthy: dynamodb')
    } catch {
      return false
    }
  }
}

export function startServer(options = {}) {
  return startIn('dynamodb', (port, folder) => new DynamoServer(port, folder, options), {
    missing: 'node is missing',
  })
}
