//! The `axonic` command inside Node, so that `npm install` puts it on the PATH.

use napi_derive::napi;

/// Runs the command with `args` (without the program's name); answers the exit code.
#[napi]
pub fn cli(args: Vec<String>) -> i32 {
    axonic_cli::run(std::iter::once("axonic".to_string()).chain(args).map(Into::into))
}
