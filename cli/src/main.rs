//! The `axonic` program: all of it is [`axonic_cli::run`], so that the Python wheel and the npm
//! package can offer the same command without shipping a second binary.

fn main() {
    std::process::exit(axonic_cli::run(std::env::args_os()));
}
