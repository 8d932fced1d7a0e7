// The program of a private server: dynalite on 127.0.0.1 with its data in memory. Its arguments are a port and how long
// tables are being created, in milliseconds. It ends with the process that started it, see ../servers/keeper.mjs.
import dynalite from 'dynalite'

const [port, createTableMs] = process.argv.slice(2).map(Number)
const server = dynalite({ createTableMs, deleteTableMs: createTableMs })
// Idle connections aren't closed: a request that is sent meanwhile would be lost.
server.keepAliveTimeout = 0
server.listen(port, '127.0.0.1')

// It throws when a connection breaks in the middle of a request; a server has to live with that.
process.on('uncaughtException', (error) => {
  if (error.code === 'ECONNRESET') return
  console.error(error)
  process.exit(1)
})
