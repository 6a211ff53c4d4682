#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parlor_sim::fuzz::resp_decode(bytes));
