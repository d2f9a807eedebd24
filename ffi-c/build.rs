//! Gives the shared library its soname: programs linked against `libaxonic.so` record
//! `libaxonic.so.<major>`, so a compatible update is picked up and an incompatible one is not.

fn main() {
    let major = std::env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets the package version");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libaxonic.so.{major}");
    println!("cargo::rerun-if-changed=build.rs");
}
