import { type ChildProcess, spawn } from 'node:child_process'
import app from '@adonisjs/core/services/app'
import { freePort } from '#tests/servers'

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/**
 * A process of the application, beside the one that tests it. Its locks are where the LOCK_STORE of its environment says.
 */
class AppProcess {
  /**
   * Resolves to the exit code, or to `null` if a signal ended the process.
   */
  ended: Promise<number | null>

  /**
   * What it has printed so far.
   */
  output = ''

  protected child: ChildProcess

  constructor(args: string[], env: Record<string, string>) {
    this.child = spawn(process.execPath, args, {
      cwd: app.makePath(),
      env: { ...process.env, LOG_LEVEL: 'warn', ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    running.add(this.child)

    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.output += text
        this.child.emit('output', this.output)
      })
    }
    this.ended = new Promise((resolve, reject) => {
      this.child.on('error', reject)
      this.child.on('close', (code) => {
        running.delete(this.child)
        resolve(code)
      })
    })
  }

  /**
   * Resolves when an event says what `isIt` looks for. Rejects with the process's output if it ends first.
   */
  protected async seen(event: 'message' | 'output', isIt: (said: unknown) => boolean) {
    await Promise.race([
      new Promise<void>((resolve) => {
        this.child.on(event, (said) => {
          if (isIt(said)) resolve()
        })
      }),
      this.ended.then((code) => {
        throw new Error(`${this.child.spawnargs.join(' ')} ended with ${code}:\n${this.output}`)
      }),
    ])
  }

  /**
   * Tells the process to end, and resolves to its exit code.
   */
  terminate() {
    this.child.kill('SIGTERM')
    return this.ended
  }

  /**
   * Ends the process without telling it.
   */
  async kill() {
    this.child.kill('SIGKILL')
    await this.ended
  }
}

/**
 * A server of the application.
 */
export class WebProcess extends AppProcess {
  url: string

  /**
   * Resolves when it takes requests.
   */
  static async start(env: Record<string, string>) {
    const server = new WebProcess(await freePort(), env)
    await server.seen('message', (said) => (said as { environment?: string }).environment === 'web')
    return server
  }

  private constructor(port: number, env: Record<string, string>) {
    super(['--import', '#typescript', 'bin/server.ts'], {
      ...env,
      HOST: '127.0.0.1',
      PORT: `${port}`,
    })
    this.url = `http://127.0.0.1:${port}`
  }
}

/**
 * A job process of the application: `node ace queue:work`.
 */
export class JobProcess extends AppProcess {
  /**
   * Resolves when it waits for jobs.
   */
  static async start(env: Record<string, string>) {
    const worker = new JobProcess(['ace.js', 'queue:work'], env)
    await worker.seen('output', (said) => `${said}`.includes('waiting for jobs'))
    return worker
  }
}
