//! Connection strings, service files and password files: each is read, or refused in one line, whatever stands there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stack_exporter::postgres::read_as_libpq;

fuzz_target!(|text: &str| read_as_libpq(text));
