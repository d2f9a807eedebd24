fn main() {
    std::process::exit(axonic_cli::run(std::env::args_os()));
}
