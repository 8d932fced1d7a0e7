/**
 * Processes that start a private server and end: what they have started has to end with them.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createConnection } from 'node:net'

import { until } from '../unit/observe.js'

/** Connects to a port of this machine and leaves again. */
export async function connect(port: number): Promise<void> {
  const socket = createConnection({ host: '127.0.0.1', port })
  await once(socket, 'connect')
  socket.destroy()
}

/** Waits until nobody listens on a port. */
export function untilGone(port: number): Promise<void> {
  return until(() =>
    connect(port).then(
      () => false,
      () => true
    )
  )
}

/**
 * A process that starts a server, says its port, folder and process id, and does what it is told afterwards.
 *
 * @param start - The script below `scripts`, and what it calls the function
 */
export async function startOwner([script, start]: readonly [string, string], then: string) {
  const module = new URL(`../../scripts/${script}`, import.meta.url).href
  const source = `
    import { ${start} } from '${module}'
    const { port, folder, pid } = await ${start}()
    console.log(JSON.stringify({ port, folder, pid }))
    ${then}`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit')
  const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string]
  const { port, folder, pid } = JSON.parse(line) as { port: number; folder: string; pid: number }
  return { child, exit, port, folder, pid }
}
