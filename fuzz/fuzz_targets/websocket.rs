#![no_main]

// Its corpus is replayed by the core's own tests, since the door has no public face.
libfuzzer_sys::fuzz_target!(|data: &[u8]| axonic::fuzzing::websocket(data));
