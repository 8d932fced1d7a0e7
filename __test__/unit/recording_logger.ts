import type { Logger } from 'loquet/types'

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const

/** What was logged. */
export interface Line {
  level: (typeof LEVELS)[number]
  bindings: Record<string, unknown>
  message?: string
  /** The bindings of the child logger that logged it. */
  context: Record<string, unknown>
}

/** A logger of the shape of pino's that keeps what it is given. */
export interface RecordingLogger extends Logger {}
export class RecordingLogger {
  readonly lines: Line[]
  readonly children: Record<string, unknown>[]

  constructor(parent?: RecordingLogger, context: Record<string, unknown> = {}) {
    this.lines = parent?.lines ?? []
    this.children = parent?.children ?? []
    for (const level of LEVELS) {
      this[level] = (bindings: object, message?: string) => {
        this.lines.push({ level, bindings: { ...bindings }, message, context })
      }
    }
    this.child = (bindings) => {
      this.children.push(bindings)
      return new RecordingLogger(this, { ...context, ...bindings })
    }
  }
}
