/**
 * What is told to a logger, by the names of `console`'s methods. `debug`: what was opened and closed,
 * who met whom. `info`: somebody died, leftovers were removed. `warn`: something was lost or could
 * not be done.
 */
export type LogLevel = 'debug' | 'info' | 'warn'

/**
 * Lets `logger` hear what happens beside the answers of this thread's calls: `setLogger((level,
 * message) => console[level](message))`. The event loop calls it after the call, so it may use the
 * library; what its own calls cause is not told. null: nobody, as in the beginning. Each thread
 * (main or Worker) has its own.
 */
export function setLogger(logger: ((level: LogLevel, message: string) => void) | null): void
