#![no_main]

// Its corpus is replayed by the core's own tests, since its decoders have no public face.
libfuzzer_sys::fuzz_target!(|data: &[u8]| axonic::fuzzing::json_rpc(data));
