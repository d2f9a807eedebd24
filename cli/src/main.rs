//! The `axonic` program: all of it is [`axonic_cli::run_again`], so that the Python wheel and the npm
//! package can offer the same command without shipping a second binary.

fn main() {
    let again: Vec<_> = std::env::current_exe().into_iter().map(Into::into).collect();
    std::process::exit(axonic_cli::run_again(std::env::args_os(), &again));
}
