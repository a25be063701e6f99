#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netcell::face::cli::fuzz::apply(bytes));
