//! The YAML of `--config.file`: settings or one line of error, whatever stands there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stack_exporter::settings::Settings;
use stack_exporter::{agent, config};

fuzz_target!(|text: &str| {
    let mut settings = Settings::default();
    match config::read_file("file", text, &agent::flags(), &mut settings) {
        Ok(()) => drop(config::describe(&agent::flags(), &settings)),
        Err(error) => assert!(!error.to_string().trim_end().contains('\n'), "{error}"),
    }
});
