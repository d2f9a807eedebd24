//! `axonic serve`: any program as a service, one process for each call.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use axonic::{Code, Content, ErrorKind, Payload, Request, Service, ServiceOptions, Status};
use nix::unistd::{AccessFlags, access};

use crate::interrupt::Interrupt;
use crate::output::complain;
use crate::place::Place;
use crate::stop::{Outcome, Stop};

const EXAMPLES: &str = "\
Examples:
  axonic serve jobs 1.2.0 --exec ./handle.sh --concurrency 4
  axonic serve jobs 1.2.0 --exec ./handle.sh --address tcp://127.0.0.1:4000
  axonic serve jobs 1.2.0 --exec ./handle.sh --address pipe:0,1";

/// Provide a service by a program: it is started for each call, with the method as its last argument and in AXONIC_METHOD, the
/// call's arguments on its standard input, and its standard output is the result. An exit code other than 0 fails the call, with
/// the end of what it wrote to standard error. It is killed when its caller gives up
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The service's name
    name: String,
    /// Its version, such as 1.2.0
    version: String,
    /// The program
    #[arg(long, value_name = "PROGRAM")]
    exec: OsString,
    /// What the program gets before the method
    #[arg(last = true)]
    args: Vec<OsString>,
    /// How many may run at the same time
    #[arg(long, value_name = "N", default_value_t = 4)]
    concurrency: usize,
    /// Listen there too, such as at tcp://HOST:PORT; may be given more than once
    #[arg(long)]
    address: Vec<String>,
}

/// How long a call of the core waits before signals are looked at again.
const SLICE: Option<Duration> = Some(Duration::from_millis(100));

/// How often it is looked whether the program has ended, or its caller has given up.
const LOOK: Duration = Duration::from_millis(5);

/// So much of the end of standard error is told.
const TOLD: usize = 2000;

pub(crate) fn run(args: &Args, place: &Place) -> Outcome {
    check_program(&args.exec)?;
    let interrupt = Interrupt::catch()?;
    let options = ServiceOptions { concurrency: args.concurrency, ..ServiceOptions::default() };
    let service = place.open("serve")?.service(&args.name, &args.version, &options)?;
    for address in &args.address {
        complain(format!("listening at {}", service.listen(address)?));
    }
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..args.concurrency {
            scope.spawn(|| {
                if let Err(stop) = serve(args, &service, &interrupt) {
                    *failed.lock().unwrap_or_else(|e| e.into_inner()) = Some(stop);
                }
            });
        }
    });
    // It ends by a signal, at the end of a pipe it listens at, or by what went wrong.
    let failed = failed.into_inner().unwrap_or_else(|e| e.into_inner());
    failed.map_or(Ok(0), Err)
}

fn serve(args: &Args, service: &Service, interrupt: &Interrupt) -> Result<(), Stop> {
    loop {
        interrupt.check()?;
        match service.next(SLICE) {
            Err(error) if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Interrupted) => {}
            // Whoever has the other end of its pipe asks for nothing more.
            Err(error) if error.kind() == ErrorKind::Disconnected => return Ok(()),
            Err(error) => return Err(error.into()),
            Ok(request) => answer(args, request, interrupt),
        }
    }
}

/// With what cannot be run every call would fail. A name is looked for in PATH, as `execvp` does.
fn check_program(program: &OsStr) -> Result<(), Stop> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_name = !program.as_bytes().contains(&b'/');
    let mut places = if is_name { std::env::split_paths(&path).collect() } else { vec![PathBuf::new()] };
    places.retain(|place| {
        let file = place.join(program);
        file.is_file() && access(&file, AccessFlags::X_OK).is_ok()
    });
    if !places.is_empty() {
        return Ok(());
    }
    Err(Stop::usage(format!(
        "--exec {}: there is no such program that can be run; give its path, or a name that is in PATH",
        program.to_string_lossy()
    )))
}

/// What a program that has ended has left.
struct Ended {
    /// `None`: it was killed, since nobody waits for it any more.
    status: Option<ExitStatus>,
    out: Vec<u8>,
    err: Vec<u8>,
}

fn answer(args: &Args, request: Request, interrupt: &Interrupt) {
    let started = Command::new(&args.exec)
        .args(&args.args)
        .arg(request.method())
        .env("AXONIC_METHOD", request.method())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let ended = started.and_then(|child| run_out(child, &request, interrupt));
    match ended {
        Err(error) => {
            let text = format!("{} could not be run: {error}", args.exec.to_string_lossy());
            request.fail(Status::new(Code::Internal, text));
        }
        Ok(Ended { status: None, .. }) => request.fail(Status::new(Code::Cancelled, "it was killed")),
        Ok(Ended { status: Some(status), out, .. }) if status.success() => {
            // Too large a result is told to the caller.
            let _ = request.reply(result(&out));
        }
        Ok(Ended { status: Some(status), err, .. }) => {
            let end = &err[err.len().saturating_sub(TOLD)..];
            let text = String::from_utf8_lossy(end).trim().to_owned();
            let message = if text.is_empty() { status.to_string() } else { text };
            let reason = status.code().map_or("signal".into(), |code| format!("exit_{code}"));
            request.fail(Status::new(Code::Unknown, message).with_reason(&reason));
        }
    }
}

/// JSON where it is, bytes elsewhere.
fn result(out: &[u8]) -> Payload<'_> {
    let trimmed = out.trim_ascii();
    match serde_json::from_slice::<serde::de::IgnoredAny>(trimmed) {
        Ok(_) => Payload { data: trimmed, content: Content::Json, tensor: None, attributes: None },
        Err(_) => Payload::raw(out),
    }
}

/// Gives a program its input and takes what it writes, until it ends or nobody waits for it.
fn run_out(mut child: Child, request: &Request, interrupt: &Interrupt) -> std::io::Result<Ended> {
    let (input, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        // A program that does not read its input is none the worse for it.
        scope.spawn(|| input.map(|mut input| input.write_all(request.body().data())));
        let read = |from: Option<Box<dyn Read + Send>>| {
            let mut bytes = Vec::new();
            from.map_or(Ok(0), |mut from| from.read_to_end(&mut bytes)).map(|_| bytes)
        };
        let out = scope.spawn(move || read(out.map(|out| Box::new(out) as Box<dyn Read + Send>)));
        let err = scope.spawn(move || read(err.map(|err| Box::new(err) as Box<dyn Read + Send>)));
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if request.is_cancelled() || interrupt.signal().is_some() {
                child.kill()?;
                child.wait()?;
                break None;
            }
            std::thread::sleep(LOOK);
        };
        let joined = |read: std::thread::ScopedJoinHandle<'_, std::io::Result<Vec<u8>>>| {
            read.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        Ok(Ended { status, out: joined(out)?, err: joined(err)? })
    })
}
