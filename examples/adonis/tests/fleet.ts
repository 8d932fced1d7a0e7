import type { Group } from '@japa/runner/core'
import locks from '@adonisjs/lock/services/main'
import type { HeldGateway } from '#tests/held_gateway'
import { PaymentService } from '#tests/payment_service'
import { JobProcess, WebProcess } from '#tests/processes'
import { orderAt } from '#tests/requests'

/**
 * The TTL of an order's lock, in milliseconds.
 */
export const TTL = 30_000

/**
 * A store whose locks other processes see.
 */
export interface SharedStore {
  name: 'redis' | 'database' | 'dynamodb'

  /**
   * Whether jobs run in processes of their own, instead of in the servers that dispatch them.
   */
  hasJobProcesses?: boolean

  /**
   * Removes all locks, and jobs.
   */
  clear(): Promise<unknown>

  /**
   * Lets the lock of a key expire in so many milliseconds. Resolves to how many were left to it.
   */
  expireIn(key: string, time: number): Promise<number>
}

/**
 * Two servers with locks in a store, and the payment service that they call.
 */
export class Fleet {
  servers: WebProcess[] = []

  /**
   * Where the payments of the current test are held.
   */
  gateway!: HeldGateway

  #payments!: PaymentService
  #worker?: JobProcess

  constructor(readonly store: SharedStore) {}

  /**
   * Starts the servers before the tests of a group and ends them afterwards. Each test finds no lock and no payment.
   */
  serve(group: Group) {
    group.setup(async () => {
      this.#payments = await PaymentService.start()
      this.servers = await Promise.all([this.#startServer(), this.#startServer()])
      return async () => {
        await this.noWorker()
        await Promise.all(this.servers.map((server) => server.terminate()))
        await this.#payments.stop()
      }
    })

    group.each.setup(() => {
      this.gateway = this.#payments.renew()
      return async (hasError: boolean) => {
        if (hasError) await this.noWorker()
        this.gateway.settleAll()
        await this.store.clear()
      }
    })
  }

  /**
   * Asks for an order, the servers by turns.
   */
  order(index: number, route: string, orderId: string) {
    return orderAt(this.servers[index % this.servers.length].url, route, orderId)
  }

  /**
   * The lock of an order, in this process.
   */
  lockOf(orderId: string) {
    return locks.use(this.store.name).createLock(`order.processing.${orderId}`)
  }

  /**
   * Resolves when the order is free. Rejects long before a TTL could have freed it.
   */
  async freed(orderId: string) {
    const lock = this.lockOf(orderId)
    if (!(await lock.acquire({ retry: { timeout: TTL / 2 } }))) {
      throw new Error(`Order "${orderId}" isn't released`)
    }
    await lock.release()
  }

  /**
   * Resolves when there is somebody who runs jobs. A job process takes a while to start, so that it is kept for the tests to
   * come.
   */
  async worker() {
    if (this.store.hasJobProcesses) this.#worker ??= await JobProcess.start(this.#env())
    return this.#worker
  }

  /**
   * Resolves when there is no job process.
   */
  async noWorker() {
    await this.#worker?.kill()
    this.#worker = undefined
  }

  /**
   * Has the job process end as a process manager has it, and resolves to its exit code.
   */
  async endWorker() {
    const worker = this.#worker!
    this.#worker = undefined
    return worker.terminate()
  }

  /**
   * Kills who runs the jobs that the first server has dispatched, be it that server. Another one takes its place.
   */
  async killWorker() {
    if (this.store.hasJobProcesses) return this.noWorker()
    await this.servers[0].kill()
    this.servers[0] = await this.#startServer()
  }

  /**
   * Has the first server end as a process manager has it, and resolves to its exit code. Another one takes its place.
   */
  async endServer() {
    const code = await this.servers[0].terminate()
    this.servers[0] = await this.#startServer()
    return code
  }

  #startServer() {
    return WebProcess.start(this.#env())
  }

  #env() {
    return { LOCK_STORE: this.store.name, PAYMENT_URL: this.#payments.url }
  }
}
