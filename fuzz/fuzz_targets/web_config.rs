//! The YAML of `--web.config.file`: a configuration or one line of error, whatever stands there.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use stack_exporter::web::check_config;

fuzz_target!(|text: &str| {
    if let Err(error) = check_config(text, Path::new("/")) {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
});
