// Written by scripts/build.mjs from the crate; do not edit.

/** The scratch of one facade. */
export class Scratch {
  /** Keeps both arrays; the caller never detaches them. */
  constructor(bytes: Uint8Array, table: Float64Array)
}

/** Makes scoped views copies, as in engines that refuse external memory. For tests. */
export function alwaysCopy(copy: boolean): void
