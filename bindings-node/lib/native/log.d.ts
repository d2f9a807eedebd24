// Written by scripts/build.mjs from the crate; do not edit.

/** One thing that happened. */
export interface LogRecord {
  /** `debug`, `info` or `warn`. */
  level: string
  /** The noun, its name, what happened. */
  message: string
}

/**
 * From now on records of this thread are kept for `take_log`, and the event loop calls `deliver` when there are some.
 * Of several calls on a thread the last counts; the answer is its turn.
 */
export function startLog(deliver: () => void): number

/** What happened on this thread since the last time, for whose turn it is. */
export function takeLog(turn: number): Array<LogRecord>
