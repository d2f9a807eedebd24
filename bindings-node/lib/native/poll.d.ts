// Written by scripts/build.mjs from the crate; do not edit.

/**
 * Watches one descriptor for readability in the event loop.
 * 
 * Level-triggered: the callback comes again in every turn of the loop for as long as the
 * descriptor stays readable and the watch is started. It keeps the process alive only while held.
 */
export class Poll {
  /** Watches a duplicate of `fd`; nothing is called before `start`. */
  constructor(fd: number, callback: () => void)
  /** Starts the calls. */
  start(): void
  /** Stops the calls. */
  stop(): void
  /** `(hold)`: while held, the process stays alive and the callback is not collected. */
  bindHold(): (hold: 0 | 1) => undefined
  /** Stops for good. */
  close(): void
}
