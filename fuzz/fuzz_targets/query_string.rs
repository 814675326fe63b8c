//! The query string of a request: whatever stands there, what it filters by is among its pairs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stack_exporter::web::read_query;

fuzz_target!(|query: &str| read_query(query));
