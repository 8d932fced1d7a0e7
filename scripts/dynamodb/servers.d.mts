/**
 * Private DynamoDB servers for tests (dynalite), on 127.0.0.1 and free ports. They end with the process that started them,
 * however that ends, and don't keep it alive. What is in them is gone when they are killed.
 */
export interface DynamoDbServer {
  readonly host: string
  readonly port: number
  /** `http://127.0.0.1:port` */
  readonly endpoint: string
  readonly isRunning: boolean
  /** What the server has logged. */
  log(): string

  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** Resolves when the process and its folder are gone. */
  stop(): Promise<void>
  /** Starts it again on the same port, with nothing in it; resolves when it answers. */
  restart(): Promise<void>
  /** SIGSTOP: connections stay and nothing answers. */
  pause(): void
  /** SIGCONT. */
  resume(): void
}

export interface DynamoDbServerOptions {
  /** How long a table is being created or deleted; milliseconds, 20 unless set. */
  createTableMillis?: number
}

export function startDynamoDb(options?: DynamoDbServerOptions): Promise<DynamoDbServer>
