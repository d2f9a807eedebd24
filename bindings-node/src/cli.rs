//! The `axonic` command inside Node, so that `npm install` puts it on the PATH.

use napi_derive::napi;

/// Runs the command with `args` (without the program's name); answers the exit code. `again` is how the command
/// is started anew in a process of its own, up to its arguments; `bench` does that.
#[napi]
pub fn cli(args: Vec<String>, again: Vec<String>) -> i32 {
    let again: Vec<_> = again.into_iter().map(Into::into).collect();
    axonic_cli::run_again(std::iter::once("axonic".to_string()).chain(args).map(Into::into), &again)
}
