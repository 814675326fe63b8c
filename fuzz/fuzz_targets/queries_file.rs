//! The YAML of `--postgres.queries`: queries or one line of error, whatever stands there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stack_exporter::postgres::check_queries;

fuzz_target!(|text: &str| {
    if let Err(error) = check_queries(text) {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
});
