//! Start-up and shut-down, nothing else.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    stack_exporter::system::syscalls::tune_allocator();
    match stack_exporter::agent::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "stack-exporter: {error}");
            // A check of health knows 0 and 1 only.
            ExitCode::from(if error.is_negative() { 1 } else { 2 })
        }
    }
}
