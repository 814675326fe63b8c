//! The reader of the text format, which the collector `textfile` gives other people's files.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stack_exporter::exposition;

fuzz_target!(|text: &[u8]| {
    if let Err(error) = exposition::parse(text) {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
});
