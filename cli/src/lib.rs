//! The `axonic` command as a library, so that the Python wheel and the npm package put the very
//! same command on the PATH.
//!
//! It behaves inside a foreign process: [`run`] never exits the process, installs no signal handler
//! that outlives it, keeps no global state between calls, and turns a panic into exit code 1.

mod bench;
mod call;
mod channels;
mod doctor;
mod human;
mod input;
mod interrupt;
mod lock;
mod ls;
mod message;
mod openmetrics;
mod output;
mod place;
mod publish;
mod queue;
mod serve;
mod stat;
mod stop;
mod subscribe;
mod table;
mod talk;
mod top;
mod top_screen;
mod unlink;
mod view;

use std::ffi::OsString;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::{Parser, Subcommand};

use crate::output::{Output, complain};
use crate::place::Place;
use crate::stop::{FAILED, Outcome, Stop, USAGE};

const EXAMPLES: &str = "\
Examples:
  axonic ls                                      every domain of this machine
  axonic sub 'orders.>'                          print what arrives on matching topics
  axonic pub orders.created '{\"id\": 1}' --json   send one message
  axonic sub a | grep error | axonic pub b       a filter between two topics
  axonic queue put jobs 'resize cat.png'         work for whoever takes it with `axonic queue get jobs`
  axonic lock ls                                 who has which lock, and who waits for it
  axonic call search query '{\"text\": \"lamp\"}'   call a service; `axonic serve` provides one
  axonic connect tcp://127.0.0.1:4000            speak to whoever did `axonic listen` there
  axonic stat                                    who lags, who waits, who pins memory
  axonic doctor --clean                          find and remove what the dead left behind
  axonic bench                                   how fast this machine is, and how near to it Axonic comes

Exit codes: 0 done, 1 a finding or an error, 2 a wrong command line, 128+n ended early by signal n.
Environment: AXONIC_DOMAIN, AXONIC_RUNTIME_DIR, AXONIC_DATA_DIR, NO_COLOR.";

/// Local IPC at memory speed: see, measure and speak to any Axonic domain from a shell.
#[derive(Parser)]
#[command(name = "axonic", bin_name = "axonic", version, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Ls(ls::Args),
    Stat(stat::Args),
    Top(top::Args),
    Pub(publish::Args),
    Sub(subscribe::Args),
    Queue(queue::Args),
    Lock(lock::Args),
    Call(call::Args),
    Serve(serve::Args),
    Listen(talk::Listen),
    Connect(talk::Connect),
    Doctor(doctor::Args),
    Bench(bench::Args),
    Unlink(unlink::Args),
}

/// Runs the command line `args`, the first of which is the program's name, against this process's
/// stdin, stdout and stderr. Returns the exit code: 0 done, 1 a finding or an error, 2 a wrong
/// command line, 128 + n when signal n ended it before its work was complete.
///
/// Blocks until the verb ends. While `pub`, `sub`, `queue`, `call`, `serve`, `listen`, `connect`, `top` or `bench` runs, SIGINT, SIGTERM and SIGHUP end it;
/// the handlers found are put back before `run` returns. May be called from any thread, more than
/// once, and by several threads at a time.
pub fn run(args: impl IntoIterator<Item = OsString>) -> i32 {
    run_again(args, &[])
}

/// As [`run`], for a program that is this command and nothing else: `again` is how it is started anew, the
/// program and what comes before the command's own arguments (`python -m axonic`, `node axonic.js`). `bench`
/// needs it for its second process, and cannot run where it is empty.
pub fn run_again(args: impl IntoIterator<Item = OsString>, again: &[OsString]) -> i32 {
    let args: Vec<OsString> = args.into_iter().collect();
    catch_unwind(AssertUnwindSafe(|| run_verb(&args, again))).unwrap_or_else(|_| {
        complain("internal error (a bug): the message above tells where");
        FAILED
    })
}

fn run_verb(args: &[OsString], again: &[OsString]) -> i32 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    match dispatch(cli, again) {
        Ok(code) => code,
        Err(stop) => {
            if let Stop::Failed { .. } | Stop::NotFound(_) = stop {
                complain(&stop);
            }
            stop.code()
        }
    }
}

fn dispatch(cli: Cli, again: &[OsString]) -> Outcome {
    let place = &cli.place;
    match cli.verb {
        Verb::Ls(args) => ls::run(&args, place),
        Verb::Stat(args) => stat::run(&args, place),
        Verb::Top(args) => top::run(&args, place),
        Verb::Pub(args) => publish::run(&args, place),
        Verb::Sub(args) => subscribe::run(&args, place),
        Verb::Queue(args) => queue::run(&args, place),
        Verb::Lock(args) => lock::run(&args, place),
        Verb::Call(args) => call::run(&args, place),
        Verb::Serve(args) => serve::run(&args, place),
        Verb::Listen(args) => talk::listen(&args, place),
        Verb::Connect(args) => talk::connect(&args, place),
        Verb::Doctor(args) => doctor::run(&args, place),
        Verb::Bench(args) => bench::run(&args, place, again),
        Verb::Unlink(args) => unlink::run(&args, place),
    }
}

/// Help and version go to stdout, mistakes to stderr in our own form.
fn explain(error: &clap::Error) -> i32 {
    if !error.use_stderr() {
        // A closed stdout is as good an end as any for a help text.
        let _ = print_help(error);
        return 0;
    }
    let text = error.render().to_string();
    let _ = match text.strip_prefix("error: ") {
        Some(mistake) => write!(std::io::stderr(), "axonic: {mistake}"),
        // No verb at all: the help text.
        None => write!(std::io::stderr(), "{text}"),
    };
    USAGE
}

fn print_help(help: &clap::Error) -> Result<(), Stop> {
    let mut out = Output::open()?;
    let text = help.render();
    if out.has_colour() {
        write!(out, "{}", text.ansi())?
    } else {
        write!(out, "{text}")?
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_example() {
        for verb in Cli::command().get_subcommands_mut() {
            let help = verb.render_long_help().to_string();
            assert!(help.contains("Examples:") && help.contains("  axonic "), "{help}");
        }
    }
}
