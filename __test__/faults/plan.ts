/**
 * What a fault proxy can do, and how often.
 */

/** What can be done to a connection. */
export const FAULTS = [
  /** Cut before the request reaches the server. */
  'request-lost',
  /** Cut after a part of the request has reached the server. */
  'request-torn',
  /** Cut before the request reaches the server; it does so nevertheless, later. */
  'request-stray',
  /** Cut after the server has answered, before the reply reaches the client: the request was performed. */
  'reply-lost',
  /** Cut in the middle of the reply. */
  'reply-torn',
  /** Requests arrive late. */
  'request-late',
  /** Replies arrive late. */
  'reply-late',
  /** Requests arrive, replies don't, and nobody is told; cut after a while. */
  'half-open',
  /** Nothing arrives any longer, and nobody is told; cut after a while. */
  'black-hole',
  /** Cut, and for a while every new connection is reset. */
  'refused',
] as const

export type Fault = (typeof FAULTS)[number]

/** A range of milliseconds, both ends included. */
export type Range = readonly [from: number, to: number]

/** What happens at random. */
export interface FaultPlan {
  /** Bytes that a client sends on average between two faults of its connection. */
  bytesBetween: number
  /** How often each fault comes, relative to the others. */
  weights: Readonly<Partial<Record<Fault, number>>>
  /** How late what is late arrives. Order is kept. */
  delay: Range
  /** How long nobody is told. */
  silence: Range
  /** How long connections are refused. */
  refusal: Range
}

export const PLAN: FaultPlan = {
  bytesBetween: 1_000,
  weights: {
    'request-lost': 3,
    'request-torn': 2,
    'request-stray': 1,
    'reply-lost': 5,
    'reply-torn': 3,
    'request-late': 3,
    'reply-late': 3,
    'half-open': 0.3,
    'black-hole': 0.3,
    'refused': 0.3,
  },
  delay: [1, 40],
  silence: [100, 400],
  refusal: [20, 150],
}

/** What a proxy has done. */
export interface ProxyStatistics {
  connections: number
  /** Connections reset while refusing. */
  refusals: number
  /** Bytes that arrived at the other side. */
  requestBytes: number
  replyBytes: number
  faults: Record<Fault, number>
}
