/**
 * A TCP proxy that does to a connection what networks do: it loses, delays, tears and cuts. It knows nothing of what it
 * carries, so it stands in front of any server, encrypted or not.
 *
 * What happens is decided by a seed: the n-th connection of a seed has its faults at the same offsets of what the client
 * sends. (Which request is there depends on the client.) "Request" and "reply" below are what one read from a socket
 * returns: a request, a pipeline of them, or a piece of one.
 */
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { ProxiedConnection } from './connection.js'
import type { Order, Surroundings } from './connection.js'
import { FAULTS, PLAN } from './plan.js'
import type { Fault, FaultPlan, ProxyStatistics } from './plan.js'
import { Random } from './random.js'

/** Where a server listens. */
export interface Target {
  host: string
  port: number
}

/**
 * A proxy in front of one server. Passes everything on until `rage` or `next` say otherwise.
 */
export class FaultProxy {
  readonly host = '127.0.0.1'
  readonly port: number
  readonly statistics: ProxyStatistics
  readonly #server: Server
  readonly #seed: number
  readonly #connections = new Set<ProxiedConnection>()
  readonly #orders: Order[] = []
  #plan: FaultPlan | null = null
  #refusesUntil = 0
  #isSilent = false

  private constructor(server: Server, target: Target, seed: number) {
    this.#server = server
    this.#seed = seed
    this.port = (server.address() as AddressInfo).port
    this.statistics = {
      connections: 0,
      refusals: 0,
      requestBytes: 0,
      replyBytes: 0,
      faults: Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>,
    }
    server.on('connection', (client) => this.#connect(client, target))
  }

  static async start(target: Target, seed = 0): Promise<FaultProxy> {
    const server = createServer()
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', resolve)
    })
    return new FaultProxy(server, target, seed)
  }

  /** Begins to do harm. */
  rage(plan: Partial<FaultPlan> = {}): void {
    this.#plan = { ...PLAN, ...plan }
  }

  /** From now on nothing arrives any longer, over new connections neither, and nobody is told. */
  silence(): void {
    this.#isSilent = true
    for (const connection of this.#connections) connection.silence()
  }

  /** Does no further harm. Connections that are silent are cut, so that everybody learns of it. */
  calm(): void {
    this.#plan = null
    this.#refusesUntil = 0
    this.#isSilent = false
    for (const connection of this.#connections) connection.calm()
  }

  /**
   * Does one thing to the next request that fits. Resolves when it has happened.
   */
  next(fault: Fault, applies: (request: Buffer) => boolean = () => true): Promise<void> {
    return new Promise((done) => this.#orders.push({ fault, applies, done }))
  }

  /** Cuts all connections. */
  cutAll(): void {
    for (const connection of this.#connections) connection.cut()
  }

  /** Resets connections that are opened from now on, for some time. */
  refuse(millis: number): void {
    this.#refusesUntil = performance.now() + millis
  }

  /** How many connections were cut; delays and refusals don't count. */
  get cuts(): number {
    const { faults } = this.statistics
    return Object.entries(faults).reduce(
      (sum, [fault, count]) => (fault.endsWith('-late') ? sum : sum + count),
      0
    )
  }

  /** How many connections are open. */
  get open(): number {
    return this.#connections.size
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.cutAll()
    await closed
  }

  #connect(client: Socket, target: Target): void {
    client.on('error', () => {})
    if (performance.now() < this.#refusesUntil) {
      this.statistics.refusals++
      client.resetAndDestroy()
      return
    }
    const random = new Random(this.#seed, this.statistics.connections++)
    const server = connect(target)
    const proxy = this
    const around: Surroundings = {
      get plan() {
        return proxy.#plan
      },
      statistics: this.statistics,
      takeOrder: (request) => {
        const at = this.#orders.findIndex(({ applies }) => applies(request))
        return at === -1 ? undefined : this.#orders.splice(at, 1)[0]
      },
      refuse: (millis) => this.refuse(millis),
    }
    const connection = new ProxiedConnection(client, server, around, random)
    if (this.#isSilent) connection.silence()
    this.#connections.add(connection)
    for (const socket of [client, server]) {
      socket.on('close', () => {
        if (!connection.isOpen) this.#connections.delete(connection)
      })
    }
  }
}
