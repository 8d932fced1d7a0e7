import { E_LOCK_CLOSED, E_LOCK_NOT_OWNED } from '../errors.js'
import { decodeKey } from '../key.js'
import { Lease } from './lease.js'
import type { AcquireRequest, LockEngine, Waited } from './lease.js'
import { KeptAcquirer, loseToOthers } from './lease_life.js'
import { NativeLeash } from './native_leash.js'
import { AbortableWait, Wait } from './wait.js'
import {
  environment,
  giveBackTicket,
  holderOf,
  hot,
  native,
  noticeListeners,
  takeTicket,
  ticketsOf,
} from '../native.js'
import { newOwner } from '../owner.js'
import { noStats, toStats } from './stats.js'
import type { Ticketed } from '../native.js'
import type { StoreStats } from '../types/main.js'

/** Gives a connection back when its engine is garbage. */
const abandoned = new FinalizationRegistry((server: number) => {
  noticeListeners.delete(server)
  native.closeServer(server, takeTicket(new Asked(ignore, ignore)))
})

const ignore = () => {}

/** What a command other than an acquire ends with. */
type Answer = number | boolean | Lease | undefined

/**
 * Something that was asked of a server, other than to acquire.
 */
class Asked implements Ticketed {
  isLoose = false

  /**
   * @param releases - What is given back with it; see `loosen`
   */
  constructor(
    readonly resolve: (answer: Answer) => void,
    readonly reject: (reason: unknown) => void,
    readonly releases?: object
  ) {}

  granted(_slot: number, _serial: number, endsAt: number): void {
    this.resolve(endsAt)
  }

  refused(): void {
    this.resolve(false)
  }

  closed(): void {
    this.reject(new E_LOCK_CLOSED())
  }

  done(): void {
    this.resolve(undefined)
  }

  told(answer: boolean): void {
    this.resolve(answer)
  }

  notOwned(): void {
    this.reject(new E_LOCK_NOT_OWNED())
  }

  failed(reason: unknown): void {
    this.reject(reason)
  }
}

/**
 * A release, of which the lease hears first.
 */
class Releasing extends Asked {
  declare readonly releases: Lease

  constructor(lease: Lease, resolve: (answer: Answer) => void, reject: (reason: unknown) => void) {
    super(resolve, reject, lease)
  }

  override done(): void {
    // What is released by whoever closes is lost for its holder.
    if (this.releases.life?.loss?.reason !== 'closed') this.releases.release()
    super.done()
  }

  override notOwned(): void {
    loseToOthers(this.releases)
    super.notOwned()
  }
}

/**
 * A try to acquire, which ends with a lease.
 */
class Tried extends Asked {
  constructor(
    readonly claim: { key: string; owner: string; fenced: boolean },
    resolve: (answer: Answer) => void,
    reject: (reason: unknown) => void
  ) {
    super(resolve, reject)
  }

  override granted(slot: number, serial: number, endsAt: number): void {
    const { key, owner, fenced } = this.claim
    const lease = new Lease(key, owner, endsAt, slot, serial)
    if (fenced) lease.fence(serial)
    this.resolve(lease)
  }
}

/**
 * The engine of a store on a server, over a native connection: queue, deadlines, commands and answers are native, on a
 * thread of their own. Here are only the promises.
 */
export class ServerEngine implements LockEngine {
  readonly namesOwners = true
  readonly tellsReleased = true
  readonly #connect: (environment: number) => number
  readonly #keyPrefix: string
  #server: number | undefined
  /** It has been disconnected: what is still asked for is answered, but leaves no connection behind. */
  #isRetired = false
  #pending = 0
  /** How many wait, but for those who have been dismissed. */
  #waiting = 0
  #onNotice: (text: string) => void = ignore
  #noticesTold = 0
  /** How many leases are extended over the connection. */
  #kept = 0

  /**
   * Connects to nothing yet.
   *
   * @param connect - Opens the native store for an environment and returns its handle. Stores with equal settings share
   * their connections
   * @param keyPrefix - Put before every key
   */
  constructor(connect: (environment: number) => number, keyPrefix: string) {
    this.#connect = connect
    this.#keyPrefix = keyPrefix
  }

  /**
   * Sets who hears what a person should know of the connection: a needless password, wake-ups that don't work.
   */
  onNotice(listener: (text: string) => void): void {
    this.#onNotice = listener
  }

  /**
   * One try, without waiting.
   */
  async attempt(key: string, owner: string, ttl: number, fenced = false): Promise<Lease | null> {
    const flag = fenced ? 1 : 0
    const lease = await this.#ask(
      (server, ticket) =>
        hot.serverAcquire(server, this.#fullKey(key), owner, ttl, 1, 0, -1, ticket, flag),
      (resolve, reject) => new Tried({ key, owner, fenced }, resolve, reject)
    )
    return lease instanceof Lease ? lease : null
  }

  acquire(request: AcquireRequest): Promise<Waited> {
    const { keep } = request
    if (keep === null || request.ttl === 0) return this.#acquire(request)
    this.#kept++
    const leash = new NativeLeash(keep, () => {
      this.#kept--
      // In a moment: a release that follows goes over the same connection.
      queueMicrotask(() => this.#leaveIfLast())
    })
    const acquirer = new KeptAcquirer(
      request.acquirer,
      (lease) => leash.attach(lease),
      () => leash.stop()
    )
    const acquired = this.#acquire({ ...request, acquirer }, leash.number)
    // Whatever has failed, be it that nothing could be asked.
    acquired.catch(() => leash.stop())
    return acquired
  }

  /**
   * @param leash - The number of a native leash, if the lease is to be extended
   */
  #acquire(request: AcquireRequest, leash?: number): Promise<Waited> {
    // Whoever has closed asks for nothing: somebody else uses the store too.
    this.#isRetired = false
    return new Promise<Waited>((settle) => {
      const resolve = (outcome: Waited | PromiseLike<Waited>) => {
        settle(outcome)
        if (wait.dismiss()) this.#waiting--
        this.#leaveIfLast()
      }
      const owner = (request.owner ??= newOwner())
      const { ttl, retry, signal, fenced } = request
      const server = this.#open()
      const wait: Wait =
        signal === undefined
          ? new Wait(request, resolve)
          : new AbortableWait(
              request,
              signal,
              resolve,
              // Disconnected meanwhile, it is answered all the same; a lease that comes is given back then.
              ({ ticket: number }) =>
                this.#server === server && native.serverCancel(server, number),
              (unwanted) => void this.release(unwanted).catch(ignore)
            )
      const ticket = takeTicket(wait)
      this.#waiting++
      if (wait instanceof AbortableWait) wait.ticket = ticket
      const { attempts, delay, timeout = -1 } = retry
      const key = this.#fullKey(request.key)
      try {
        if (leash === undefined) {
          const flag = fenced ? 1 : 0
          hot.serverAcquire(server, key, owner, ttl, attempts, delay, timeout, ticket, flag)
        } else {
          const { serverAcquireKept } = native
          serverAcquireKept(
            server,
            key,
            owner,
            ttl,
            attempts,
            delay,
            timeout,
            ticket,
            fenced,
            leash
          )
        }
      } catch (error) {
        giveBackTicket(ticket)
        wait.failed(error)
      }
    })
  }

  release(lease: Lease): Promise<void> {
    // As `#ask` does, with one closure instead of three: half of all calls are releases.
    const answer = new Promise<Answer>((resolve, reject) => {
      const server = this.#open()
      const key = this.#fullKey(lease.key)
      const ticket = takeTicket(new Releasing(lease, resolve, reject))
      try {
        hot.serverRelease(server, key, this.nameOf(lease), lease.currentEnd, ticket)
      } catch (error) {
        giveBackTicket(ticket)
        throw error
      }
    }) as Promise<void>
    return this.#isRetired ? this.#askedLate(answer) : answer
  }

  async extend(lease: Lease, ttl: number): Promise<void> {
    const endsAt = await this.#ask((server, ticket) =>
      native.serverExtend(server, this.#fullKey(lease.key), this.nameOf(lease), ttl, ticket)
    )
    if (typeof endsAt === 'number') lease.extendTo(endsAt)
  }

  forceRelease(key: string): Promise<void> {
    return this.#ask((server, ticket) =>
      native.serverForceRelease(server, this.#fullKey(key), ticket)
    ) as Promise<void>
  }

  exists(key: string): Promise<boolean> {
    return this.#ask((server, ticket) =>
      native.serverExists(server, this.#fullKey(key), ticket)
    ) as Promise<boolean>
  }

  nameOf(lease: Lease, name?: string): string {
    return (lease.owner ??= name ?? newOwner())
  }

  close(scope: object): void {
    if (this.#server === undefined) return
    const tickets = ticketsOf(scope)
    for (const ticket of tickets) {
      const holder = holderOf(ticket)
      if (holder instanceof Wait && holder.dismiss()) this.#waiting--
    }
    native.serverDismiss(this.#server, tickets)
  }

  async cleanUp(): Promise<void> {
    if (this.#server === undefined) return
    // A connection that can't be had any longer has nothing to clean up.
    await this.#ask(
      (server, ticket) => native.serverCleanUp(server, ticket),
      (resolve, reject) => new Asked(resolve, reject, this)
    ).catch(ignore)
  }

  /** Nothing is counted while there is no connection. */
  stats(): StoreStats {
    if (this.#server === undefined) return noStats()
    const figures = native.serverFigures(this.#server, this.#keyPrefix)
    return toStats(figures, (key) => key.slice(this.#keyPrefix.length))
  }

  /**
   * Gives the connection back, or leaves that to the last of those who still wait for somebody else, or whose lease is
   * extended over it. It is closed when nobody else in the process uses it; what happens later connects again.
   */
  async disconnect(): Promise<void> {
    this.#isRetired = true
    const server = this.#server
    if (server === undefined || this.#waiting > 0 || this.#kept > 0) return
    this.#server = undefined
    abandoned.unregister(this)
    await new Promise((resolve, reject) => {
      native.closeServer(server, takeTicket(new Asked(resolve, reject, this)))
    })
    noticeListeners.delete(server)
  }

  /** Servers know nothing of what JavaScript strings may hold: halves of surrogate pairs become U+FFFD, as in their clients. */
  #fullKey(key: string): string {
    return this.#keyPrefix + decodeKey(key)
  }

  #ask(
    submit: (server: number, ticket: number) => void,
    holder?: (...settle: ConstructorParameters<typeof Asked>) => Asked
  ): Promise<Answer> {
    const answer = new Promise<Answer>((resolve, reject) => {
      const server = this.#open()
      const ticket = takeTicket(holder?.(resolve, reject) ?? new Asked(resolve, reject))
      try {
        submit(server, ticket)
      } catch (error) {
        giveBackTicket(ticket)
        throw error
      }
    })
    return this.#isRetired ? this.#askedLate(answer) : answer
  }

  /** What has been retired with somebody left goes with the last of them. */
  #leaveIfLast(): void {
    if (this.#isRetired && this.#waiting === 0 && this.#pending === 0) {
      void this.disconnect().catch(ignore)
    }
  }

  async #askedLate<T>(answer: Promise<T>): Promise<T> {
    this.#pending++
    try {
      return await answer
    } finally {
      if (--this.#pending === 0) await this.disconnect()
    }
  }

  #open(): number {
    if (this.#server !== undefined) return this.#server
    const server = this.#connect(environment)
    this.#server = server
    this.#noticesTold = 0
    abandoned.register(this, server, this)
    const self = new WeakRef(this)
    noticeListeners.set(server, () => {
      const engine = self.deref()
      if (engine !== undefined) engine.#tell(server)
    })
    this.#tell(server)
    return server
  }

  #tell(server: number): void {
    const notices = native.takeNotices(server)
    for (const text of notices.slice(this.#noticesTold)) this.#onNotice(text)
    this.#noticesTold = notices.length
  }
}
