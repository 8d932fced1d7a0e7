/**
 * Private Redis servers for tests, on 127.0.0.1 and free ports, in temporary folders. They end with the process (or the
 * thread) that started them, however that ends, and don't keep it alive. Needs `redis-server`, for TLS `openssl` too.
 */
import type { Certificate, Certificates } from '../servers/certificates.mjs'

export { makeCertificates } from '../servers/certificates.mjs'
export type { Certificate, Certificates } from '../servers/certificates.mjs'

/** An argument of a command. */
export type Argument = string | number | Buffer

/** What a server answers. */
export type Reply = string | number | null | Reply[]

export interface RedisServer {
  readonly host: string
  readonly port: number
  /** `redis://127.0.0.1:port` or `rediss://…`, with the password if there is one. */
  readonly url: string
  readonly password?: string
  /** The unix socket that it listens on besides. */
  readonly path?: string
  /** Where it keeps its files, its log among them. */
  readonly folder: string
  /** The process id, undefined while it is down. */
  readonly pid: number | undefined
  readonly isRunning: boolean

  /**
   * Sends a command and resolves to what `redis-cli` would print: numbers in digits, arrays line by line, null as ''.
   *
   * @throws Error with the server's message if it answers with an error, or if it doesn't answer within 15 seconds
   */
  cli(...args: Argument[]): Promise<string>
  /** Sends commands over one connection and resolves to their replies. Rejects as `cli` does. */
  send(...commands: Argument[][]): Promise<Reply[]>
  /** The same, with each byte of a text as one character (latin1): for keys that aren't UTF-8. */
  sendForBytes(...commands: Argument[][]): Promise<Reply[]>
  /** The fields of a section of INFO. */
  info(section: string): Promise<Record<string, string>>
  /** What the server has logged. */
  log(): string

  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>
  /** SHUTDOWN NOSAVE; resolves when the process and the folder are gone. */
  stop(): Promise<void>
  /**
   * Starts it again (if it still runs, after SIGKILL) on the same port, in the same folder; resolves when it has read its
   * data, with `mayLoad` as soon as it answers, be it with LOADING.
   */
  restart(options?: { mayLoad?: boolean }): Promise<void>
  /** SIGSTOP: connections stay and nothing answers. */
  pause(): void
  /** SIGCONT. */
  resume(): void
}

export interface StandaloneOptions {
  /** Further arguments: `['--appendonly', 'yes', '--maxmemory', '2mb']`. */
  args?: string[]
  /** The port to take; any free one without it. */
  port?: number
  /** Listen on a unix socket too; then `path` names it. */
  unixSocket?: boolean
  requirepass?: string
}

export function startStandalone(options?: StandaloneOptions): Promise<RedisServer>

export interface TlsOptions {
  args?: string[]
  requirepass?: string
  /** Take these instead of new ones. */
  certificates?: Certificates
  /** Refuse clients that show no certificate. */
  requireClientCertificate?: boolean
}

/** A server that talks TLS only. */
export interface TlsServer extends RedisServer, Certificate {
  /** The authority's certificate, as a PEM text. `cert` and `key` are the client's. */
  readonly ca: string
  readonly certificates: Certificates
}

export function startTls(options?: TlsOptions): Promise<TlsServer>

export interface Address {
  host: string
  port: number
}

export interface SentinelOptions {
  /** The password of primary and replica. */
  requirepass?: string
  /** The password of the sentinels. */
  sentinelPassword?: string
}

export interface SentinelGroup {
  readonly name: 'mymaster'
  /** Who was the primary at the start. */
  readonly primary: RedisServer
  /** Who was the replica at the start. */
  readonly replica: RedisServer
  /** Both, in this order. */
  readonly servers: RedisServer[]
  readonly sentinels: RedisServer[]
  /** Makes the replica the primary and the primary its replica; resolves, to the new primary, when all have settled. */
  failover(): Promise<RedisServer>
  /**
   * Kills the primary; resolves to it when the replica has been promoted: after one or two seconds, or up to eight where
   * there has been a failover just before. It may be restarted and becomes a replica.
   */
  killPrimary(): Promise<RedisServer>
  /** Who is the primary, as a sentinel says. */
  currentPrimary(): Promise<Address>
  primaryServer(): Promise<RedisServer>
  /** Resolves, to the primary, when all sentinels agree on it and all servers that run follow it. */
  settled(): Promise<RedisServer>
  stop(): Promise<void>
}

/** Starts a primary, a replica, and three sentinels. A primary that is down is replaced after one to two seconds. */
export function startSentinels(options?: SentinelOptions): Promise<SentinelGroup>

/** A node, or its place in `nodes`. */
export type NodePlace = RedisServer | number

/** A slot on its way: the source answers ASK for keys that have gone (or are new), the target only to ASKING. */
export interface SlotMove {
  /** Moves some keys, unless told otherwise all that are there; resolves to how many. */
  moveKeys(count?: number): Promise<number>
  /** Moves the remaining keys and hands the slot over: from now on the source answers MOVED. */
  finish(): Promise<void>
}

export interface RedisCluster {
  /** Three primaries without replicas. */
  readonly nodes: RedisServer[]
  slotOf(key: string): Promise<number>
  ownerOf(slot: number): Promise<RedisServer>
  beginMove(slot: number, from: NodePlace, to: NodePlace): Promise<SlotMove>
  /** Moves a slot with its keys. */
  moveSlot(slot: number, from: NodePlace, to: NodePlace): Promise<void>
  /** Moves so many random slots, each to the node after the one that has it. */
  reshard(count: number): Promise<void>
  /** Resolves when all nodes agree that the cluster works. */
  settled(): Promise<void>
  stop(): Promise<void>
}

export function startCluster(options?: { requirepass?: string }): Promise<RedisCluster>
