//! Log lines on standard error: logfmt as Prometheus' own programs write it, or JSON.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, time::FormatTime, time::SystemTime as Stamp};
use tracing_subscriber::registry::LookupSpan;

use crate::settings::{Error, Flag, Settings};

static LEVEL: Flag = Flag::text("log.level", "info", "Least important level that is logged: debug, info, warn or error.");
static FORMAT: Flag = Flag::text("log.format", "logfmt", "Shape of log lines: logfmt or json.");

/// The flags of the log.
pub static FLAGS: [&Flag; 2] = [&LEVEL, &FORMAT];

/// Starts logging to standard error.
pub fn start(settings: &Settings) -> Result<(), Error> {
    let level = match settings.text(&LEVEL).as_str() {
        "debug" => Level::DEBUG,
        "info" => Level::INFO,
        "warn" => Level::WARN,
        "error" => Level::ERROR,
        other => return Err(Error::new(format!("{}: {other:?} is none of debug, info, warn, error", LEVEL.name))),
    };
    let json = match settings.text(&FORMAT).as_str() {
        "logfmt" => false,
        "json" => true,
        other => return Err(Error::new(format!("{}: {other:?} is neither logfmt nor json", FORMAT.name))),
    };
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).event_format(Format { json });
    // A second start in one process (tests) keeps the first one's log.
    let _ = tracing::subscriber::set_global_default(log.finish());
    Ok(())
}

struct Format {
    json: bool,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N> for Format {
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        Stamp.format_time(&mut Writer::new(&mut time))?;
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let mut line = Line { json: self.json, text: String::new() };
        line.put("time", &time);
        line.put("level", &level);
        event.record(&mut line);
        if self.json { writeln!(writer, "{{{}}}", line.text) } else { writeln!(writer, "{}", line.text) }
    }
}

/// One line as it grows.
struct Line {
    json: bool,
    text: String,
}

impl Line {
    fn put(&mut self, key: &str, value: &str) {
        let key = if key == "message" { "msg" } else { key };
        if !self.text.is_empty() {
            self.text.push(if self.json { ',' } else { ' ' });
        }
        // A quoted value cannot end its line or start another field, whatever a peer sent.
        if self.json {
            let quoted = serde_json::Value::from(value);
            let _ = write!(self.text, "\"{key}\":{quoted}");
        } else if !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\')) {
            let _ = write!(self.text, "{key}={value}");
        } else {
            let _ = write!(self.text, "{key}={value:?}");
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_forge_a_line() {
        let mut line = Line { json: false, text: String::new() };
        line.put("a", "plain");
        line.put("message", "x\nlevel=error msg=\"y\"");
        assert_eq!(line.text, r#"a=plain msg="x\nlevel=error msg=\"y\"""#);
        let mut line = Line { json: true, text: String::new() };
        line.put("message", "x\"\n");
        assert_eq!(line.text, r#""msg":"x\"\n""#);
    }
}
