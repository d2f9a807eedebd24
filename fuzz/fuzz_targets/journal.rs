#![no_main]

// Its corpus is replayed by the core's own tests, since a journal has no public face.
libfuzzer_sys::fuzz_target!(|data: &[u8]| axonic::fuzzing::journal(data));
