import { registerContract } from './contract.js'

await registerContract({ topology: 'SQLite, WAL', isThorough: true })
await registerContract({ topology: 'SQLite, rollback journal' })
