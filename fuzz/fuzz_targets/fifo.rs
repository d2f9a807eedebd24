#![no_main]

// Its corpus is replayed by the core's own tests, since requests have no public face.
libfuzzer_sys::fuzz_target!(|data: &[u8]| axonic::fuzzing::fifo(data));
