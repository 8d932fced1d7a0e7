/**
 * Clients whose requests meet something on their way: the SDK is the real one, with its retries and its errors.
 */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { Readable } from 'node:stream'

import { ACCOUNT, clientFor } from './tables.js'

/** What a request handler of the SDK answers. */
export interface Reply {
  response: { statusCode: number; headers: Record<string, string>; body: Readable }
}

/** A request, as it meets what is scripted. */
export interface Met {
  /** `UpdateItem` and so on. */
  operation: string
  input: Record<string, any>
  /** Lets the server answer, whether or not anybody waits for it by then. */
  pass: () => Promise<Reply>
  signal: AbortSignal
}

export type Script = (met: Met) => Promise<Reply>

interface Request {
  headers: Record<string, string>
  body: string | Uint8Array
}

interface Handler {
  handle(request: Request, options: { abortSignal?: AbortSignal }): Promise<Reply>
}

export interface Scripted {
  client: DynamoDBClient
  /** What has been sent, in order. */
  sent: { operation: string; input: Record<string, any> }[]
  operations(): string[]
}

/**
 * @param server - What answers; without one the script has to
 */
export function scripted(
  script: Script,
  {
    server,
    ...options
  }: { server?: { host: string; port: number }; maxAttempts?: number } & object = {}
): Scripted {
  const inner = server && (clientFor(server).config.requestHandler as unknown as Handler)
  const sent: Scripted['sent'] = []
  const handler: Handler = {
    async handle(request, { abortSignal = new AbortController().signal }) {
      const target = Object.entries(request.headers).find(
        ([name]) => name.toLowerCase() === 'x-amz-target'
      )
      const operation = target![1].split('.')[1]
      const input = JSON.parse(Buffer.from(request.body as string).toString()) as Record<
        string,
        any
      >
      sent.push({ operation, input })
      const pass = () => inner!.handle(request, {})
      return script({ operation, input, pass, signal: abortSignal })
    },
  }
  const client = new DynamoDBClient({
    endpoint: `http://${server?.host ?? 'nowhere'}:${server?.port ?? 1}`,
    ...ACCOUNT,
    ...options,
    requestHandler: handler as never,
  })
  return { client, sent, operations: () => sent.map(({ operation }) => operation) }
}

export function reply(statusCode: number, content: object): Reply {
  const body = Readable.from([Buffer.from(JSON.stringify(content))])
  return {
    response: { statusCode, headers: { 'content-type': 'application/x-amz-json-1.0' }, body },
  }
}

/** An error of the service. */
export function refusal(name: string, message = 'as it says', statusCode = 400, more = {}): Reply {
  const type = `com.amazonaws.dynamodb.v20120810#${name}`
  return reply(statusCode, { __type: type, message, ...more })
}

/** An error of the network. */
export function broken(code: string): Error {
  return Object.assign(new Error(`connect ${code} 10.0.0.1:443`), { code })
}

/** The n-th answers of each operation; then the server answers. */
export function once(operation: string, act: (met: Met) => Promise<Reply>): Script {
  let isDone = false
  return async (met) => {
    if (isDone || met.operation !== operation) return met.pass()
    isDone = true
    return act(met)
  }
}

/** The server has done it, and nobody hears of it. */
export async function replyLost({ pass }: Met): Promise<never> {
  await pass()
  throw broken('ECONNRESET')
}

/** What a server does that knows `ReturnValuesOnConditionCheckFailure`, which the one for tests ignores. */
export function telling(server: { host: string; port: number }, script: Script): Script {
  return async (met) => {
    const { response } = await script(met)
    if (response.statusCode !== 400) return { response }
    const content = await contentOf(response.body)
    if (!String(content.__type).endsWith('ConditionalCheckFailedException')) {
      return reply(400, content)
    }
    if (met.input.ReturnValuesOnConditionCheckFailure !== 'ALL_OLD') return reply(400, content)
    const { TableName, Key } = met.input
    const found = await readRaw(server, { TableName, Key, ConsistentRead: true })
    return reply(400, { ...content, ...found })
  }
}

async function contentOf(body: Readable): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>
}

async function readRaw(
  { host, port }: { host: string; port: number },
  input: object
): Promise<object> {
  const answer = await fetch(`http://${host}:${port}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': 'DynamoDB_20120810.GetItem',
      'x-amz-date': '20260101T000000Z',
      'authorization':
        'AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0',
    },
    body: JSON.stringify(input),
  })
  return (await answer.json()) as object
}
