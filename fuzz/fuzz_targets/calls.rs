#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| axonic_fuzz::run("calls", data));
