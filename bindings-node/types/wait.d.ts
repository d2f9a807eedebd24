/** How long a wait may take. */
export interface WaitOptions {
  /** Milliseconds; without it a wait has no end. Running out rejects with AXONIC_TIMEOUT. */
  timeout?: number
  /** Aborting rejects with `signal.reason`. */
  signal?: AbortSignal
}

/** How a native wait may spin before it sleeps; promises always sleep in the event loop. */
export type Wait = 'spin' | 'adaptive' | 'block'

/** What closes itself at the end of a `using` block. */
interface Handle {
  /** Whether it was closed; every call then throws AXONIC_CLOSED. */
  readonly closed: boolean
  /** Ends it; a second time does nothing. Waits in progress reject with AXONIC_CLOSED. */
  close(): void
  [Symbol.dispose](): void
  [Symbol.asyncDispose](): Promise<void>
}
