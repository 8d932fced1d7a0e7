import { registerContract } from './contract.js'

await registerContract({ topology: 'SQLite, WAL' })
await registerContract({ topology: 'SQLite, rollback journal' })
