// Written by scripts/build.mjs from the crate; do not edit.

/**
 * Runs the command with `args` (without the program's name); answers the exit code. `again` is how the command
 * is started anew in a process of its own, up to its arguments; `bench` does that.
 */
export function cli(args: Array<string>, again: Array<string>): number
