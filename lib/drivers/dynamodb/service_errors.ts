import { E_LOCK_STORAGE_ERROR } from '../../errors.js'

/** What an error of the SDK may have. */
interface ServiceError {
  name?: unknown
  message?: unknown
  code?: unknown
  $fault?: unknown
  $metadata?: { httpStatusCode?: unknown; attempts?: unknown }
  $retryable?: { throttling?: unknown }
}

// By name: the app's client may come from another copy of the SDK, whose classes aren't ours.
const CONDITION_FAILED = 'ConditionalCheckFailedException'
const TABLE_NOT_FOUND = 'ResourceNotFoundException'
const TABLE_IN_USE = 'ResourceInUseException'

const THROTTLED = [
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'Throttling',
  'ThrottlingException',
  'TooManyRequestsException',
]
/** Too many tables are being changed at the same time. */
const LIMIT_EXCEEDED = 'LimitExceededException'

/** Others write the item at the same time. */
const IN_CONFLICT = ['ReplicatedWriteConflictException', 'TransactionConflictException']

const DENIED = ['AccessDeniedException', 'KMSAccessDeniedException']

const UNKNOWN_CALLER = [
  'CredentialsProviderError',
  'ExpiredTokenException',
  'IncompleteSignatureException',
  'InvalidSignatureException',
  'MissingAuthenticationTokenException',
  'TokenProviderError',
  'UnrecognizedClientException',
]

/** Nobody was there, so nothing was sent. */
const NOT_CONNECTED = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN']

const NO_REPLY = ['AbortError', 'NetworkingError', 'RequestTimeout', 'TimeoutError']

export function isConditionFailed(error: unknown): boolean {
  return nameOf(error) === CONDITION_FAILED
}

/** The table isn't there, or not yet. */
export function isMissingTable(error: unknown): boolean {
  return nameOf(error) === TABLE_NOT_FOUND
}

/** The table that was to be made is there, or is being made or deleted. */
export function isTableInUse(error: unknown): boolean {
  return nameOf(error) === TABLE_IN_USE
}

/** Whether the service lacks an operation: those for tests do. */
export function isUnknownOperation(error: unknown): boolean {
  return nameOf(error) === 'UnknownOperationException'
}

/** Whether the same request may succeed a little later. */
export function isTransient(error: unknown): boolean {
  const { $fault, $metadata } = errorOf(error)
  if (isThrottled(error) || IN_CONFLICT.includes(nameOf(error))) return true
  if (nameOf(error) === LIMIT_EXCEEDED) return true
  return $fault === 'server' || Number($metadata?.httpStatusCode) >= 500 || isUnreachable(error)
}

/** Whether a try that failed has certainly done nothing. */
export function isRefusal(error: unknown): boolean {
  const { code, $fault, $metadata } = errorOf(error)
  if (NOT_CONNECTED.includes(String(code)) || UNKNOWN_CALLER.includes(nameOf(error))) return true
  const status = Number($metadata?.httpStatusCode ?? 400)
  return $fault === 'client' && status >= 400 && status < 500
}

/** How often the SDK has sent a request. */
export function attemptsOf(answer: unknown): number {
  return Number(errorOf(answer).$metadata?.attempts ?? 1)
}

/**
 * The error that callers get: what is wrong, what to do, and the SDK's error as its `cause`.
 *
 * @param tableName - Named in the message
 */
export function storageError(error: unknown, tableName: string): E_LOCK_STORAGE_ERROR {
  if (error instanceof E_LOCK_STORAGE_ERROR) return error
  const cause = withoutSecrets(error)
  return new E_LOCK_STORAGE_ERROR([explain(cause, `the table "${tableName}"`)], { cause })
}

function explain(error: unknown, table: string): string {
  const name = nameOf(error)
  const said = saidBy(error)
  if (isThrottled(error)) {
    return (
      `DynamoDB throttles the requests to ${table} (${name}). Raise its capacity or bill it by request, ` +
      'or let fewer locks wait for the same key'
    )
  }
  if (isMissingTable(error)) {
    return (
      `${table} doesn't exist in this account and region, or isn't active yet. Create it with the string "key" as its ` +
      'partition key, or set "table.autoCreate" to true'
    )
  }
  if (DENIED.includes(name)) {
    return `DynamoDB denies access to ${table} (${said}). docs/dynamodb.md names the permissions that locks need`
  }
  if (UNKNOWN_CALLER.includes(name)) {
    return `DynamoDB doesn't know the caller (${name}: ${said}). Look at the credentials of the client`
  }
  if (isUnreachable(error)) {
    return `DynamoDB can't be reached (${said}). Look at the region and the endpoint of the client, and at the network`
  }
  return `DynamoDB failed (${name}: ${said})`
}

function isThrottled(error: unknown): boolean {
  const { $retryable, $metadata } = errorOf(error)
  if (THROTTLED.includes(nameOf(error))) return true
  return Boolean($retryable?.throttling) || $metadata?.httpStatusCode === 429
}

function isUnreachable(error: unknown): boolean {
  const { code, $fault } = errorOf(error)
  const isOfSystem = typeof code === 'string' && /^E[A-Z_]+$/.test(code)
  return $fault === undefined && (isOfSystem || NO_REPLY.includes(nameOf(error)))
}

/** Those of failed connections may have no message. */
function saidBy(error: unknown): string {
  const { message, code } = errorOf(error)
  return String(message || code || error)
}

/** What the service says of a signature quotes the session's token. */
function withoutSecrets(error: unknown): unknown {
  if (error instanceof Error && /security-token:/i.test(error.message)) {
    error.message = error.message.replace(/(security-token:)[^\s'"\\]+/gi, '$1...')
    error.stack = `${error.name}: ${error.message}`
  }
  return error
}

function nameOf(error: unknown): string {
  return String(errorOf(error).name ?? 'Error')
}

function errorOf(error: unknown): ServiceError {
  return typeof error === 'object' && error !== null ? error : {}
}
