import { registerContract } from './contract.js'

await registerContract({ topology: 'standalone', isThorough: true })
