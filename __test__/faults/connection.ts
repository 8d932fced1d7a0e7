/**
 * One connection through a fault proxy.
 */
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { PLAN } from './plan.js'
import type { Fault, FaultPlan, ProxyStatistics, Range } from './plan.js'
import type { Random } from './random.js'

/** A fault that was ordered, see `FaultProxy.next`. */
export interface Order {
  fault: Fault
  applies: (request: Buffer) => boolean
  done: () => void
}

/** What a connection needs of its proxy. */
export interface Surroundings {
  readonly plan: FaultPlan | null
  readonly statistics: ProxyStatistics
  takeOrder(request: Buffer): Order | undefined
  refuse(millis: number): void
}

/** One direction of a connection: passes on in order, now or later. */
class Pipe {
  readonly #target: Socket
  readonly #count: (bytes: number) => void
  #lateUntil = 0
  /** Ends when everything that is late has been passed on. */
  #late: Promise<void> | null = null

  constructor(target: Socket, count: (bytes: number) => void) {
    this.#target = target
    this.#count = count
  }

  /** Holds back what is passed on from now on, for some time. */
  delay(millis: number): void {
    this.#lateUntil = Math.max(this.#lateUntil, performance.now() + millis)
  }

  pass(bytes: Buffer): void {
    this.#inOrder(() => this.#write(bytes))
  }

  /** Passes on the last bytes and says farewell. A reset might take back what has been sent. */
  finish(bytes?: Buffer): void {
    this.#inOrder(() => {
      if (bytes !== undefined) this.#write(bytes)
      this.#target.end()
    })
  }

  #inOrder(act: () => void): void {
    if (this.#late === null && this.#lateUntil <= performance.now()) return act()
    const late = (this.#late ?? Promise.resolve())
      .then(() => sleep(this.#lateUntil - performance.now()))
      .then(() => {
        act()
        if (this.#late === late) this.#late = null
      })
    this.#late = late
  }

  #write(bytes: Buffer): void {
    if (bytes.length === 0 || !this.#target.writable) return
    this.#target.write(bytes)
    this.#count(bytes.length)
  }
}

/** A connection of a client, and the one to the server that belongs to it. */
export class ProxiedConnection {
  readonly #client: Socket
  readonly #server: Socket
  readonly #around: Surroundings
  readonly #random: Random
  readonly #requests: Pipe
  readonly #replies: Pipe
  /** Bytes that the client has sent. */
  #sent = 0
  /** After how many of them the next fault comes. */
  #faultAt: number
  /** What happens to the next reply. */
  #replyFault: 'reply-lost' | 'reply-torn' | null = null
  /** Whether replies are dropped, or everything. */
  #silence: 'half-open' | 'black-hole' | null = null
  #done: () => void = () => {}

  constructor(client: Socket, server: Socket, around: Surroundings, random: Random) {
    this.#client = client
    this.#server = server
    this.#around = around
    this.#random = random
    const { statistics } = around
    this.#requests = new Pipe(server, (bytes) => (statistics.requestBytes += bytes))
    this.#replies = new Pipe(client, (bytes) => (statistics.replyBytes += bytes))
    this.#faultAt = this.#nextFault()
    for (const [socket, other] of [
      [client, this.#requests],
      [server, this.#replies],
    ] as const) {
      socket.setNoDelay(true)
      // It closes after an error.
      socket.on('error', () => {})
      socket.on('close', (hasFailed) => {
        if (!hasFailed) other.finish()
        else this.cut()
      })
    }
    client.on('data', (request) => this.#onRequest(request))
    server.on('data', (reply) => this.#onReply(reply))
  }

  /** Ends both sides without a farewell. */
  cut(): void {
    this.#client.resetAndDestroy()
    this.#server.resetAndDestroy()
  }

  /** Passes nothing on any longer, in either direction. */
  silence(): void {
    this.#silence = 'black-hole'
  }

  /** Takes back what would happen next; who waits in vain learns of it. */
  calm(): void {
    this.#replyFault = null
    if (this.#silence !== null) this.cut()
  }

  get isOpen(): boolean {
    return !this.#client.destroyed || !this.#server.destroyed
  }

  #nextFault(): number {
    const { bytesBetween } = this.#around.plan ?? PLAN
    // Distances of independent events, so that a fault is as likely right after another as at any other time.
    return this.#sent + 1 + Math.floor(-Math.log(1 - this.#random.fraction()) * bytesBetween)
  }

  #onRequest(request: Buffer): void {
    const before = this.#sent
    this.#sent += request.length
    if (this.#silence === 'black-hole') return
    const order = this.#around.takeOrder(request)
    const { plan } = this.#around
    if (order !== undefined) {
      this.#done = order.done
      this.#apply(order.fault, request, Math.floor(request.length / 2))
    } else if (this.#silence === null && plan !== null && this.#sent >= this.#faultAt) {
      const intact = Math.max(0, this.#faultAt - before - 1)
      this.#faultAt = this.#nextFault()
      this.#apply(this.#random.weighted(plan.weights), request, intact)
    } else this.#requests.pass(request)
  }

  /**
   * @param intact - How many bytes of the request come before the fault
   */
  #apply(fault: Fault, request: Buffer, intact: number): void {
    const plan = this.#around.plan ?? PLAN
    const span = (range: Range) => this.#random.integer(...range)
    switch (fault) {
      case 'request-lost':
        return this.#cutBy(fault)
      case 'request-torn':
        this.#silence = 'black-hole'
        this.#requests.finish(request.subarray(0, intact))
        this.#client.resetAndDestroy()
        return this.#count(fault)
      case 'request-stray':
        this.#silence = 'black-hole'
        this.#requests.delay(span(plan.delay))
        this.#requests.finish(request)
        this.#client.resetAndDestroy()
        return this.#count(fault)
      case 'reply-lost':
      case 'reply-torn':
        // Counted when it happens: a request may have no reply.
        this.#replyFault = fault
        return this.#requests.pass(request)
      case 'request-late':
        this.#requests.delay(span(plan.delay))
        this.#requests.pass(request)
        return this.#count(fault)
      case 'reply-late':
        this.#replies.delay(span(plan.delay))
        this.#requests.pass(request)
        return this.#count(fault)
      case 'half-open':
      case 'black-hole':
        this.#silence = fault
        if (fault === 'half-open') this.#requests.pass(request)
        setTimeout(() => this.cut(), span(plan.silence)).unref()
        return this.#count(fault)
      case 'refused':
        this.#around.refuse(span(plan.refusal))
        return this.#cutBy(fault)
    }
  }

  #onReply(reply: Buffer): void {
    if (this.#silence !== null) return
    if (this.#replyFault === null) return this.#replies.pass(reply)
    if (this.#replyFault === 'reply-lost') return this.#cutBy(this.#replyFault)
    this.#silence = 'black-hole'
    this.#replies.finish(reply.subarray(0, this.#random.integer(0, reply.length - 1)))
    this.#server.resetAndDestroy()
    this.#count(this.#replyFault)
  }

  #cutBy(fault: Fault): void {
    this.cut()
    this.#count(fault)
  }

  #count(fault: Fault): void {
    this.#around.statistics.faults[fault]++
    this.#done()
    this.#done = () => {}
  }
}
