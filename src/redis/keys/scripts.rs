//! Scripts of the operator.

use super::super::connection::Failure;
use super::super::reply::{pairs, refusal, text};
use super::super::resp::{Cmd, Value};
use super::findings::Findings;
use super::link::Link;
use super::wanted::Script;
use crate::exposition::Family;

static RESULT: Family = Family::gauge("redis_script_result", "1 if the script gave values, 2 if it gave none, 0 if it failed.");
static VALUES: Family = Family::gauge("redis_script_values", "Values that the script gave, by name.");

/// Runs one script; what it said when it failed.
pub(super) async fn run(
    link: &mut Link,
    script: &Script,
    read_only: bool,
    out: &mut Findings,
) -> Result<Option<String>, Failure> {
    let eval: &[u8] = if read_only { b"EVAL_RO" } else { b"EVAL" };
    let replies = link.ask(0, 0, vec![Cmd::of(&[eval, script.text.as_bytes(), b"0", b"0"])]).await?;
    let file = ("filename", &*script.file);
    let Some(reply) = replies.first() else { return Ok(None) };
    let mut failed = refusal(reply);
    let mut values = Vec::new();
    for (name, value) in pairs(reply) {
        let number = match value {
            Value::Int(number) => Some(crate::exposition::from_i64(*number)),
            other => text(other).and_then(|text| text.parse::<f64>().ok()),
        };
        match number {
            Some(number) => values.push((name, number)),
            None => failed = Some("a value is not a number".to_owned()),
        }
    }
    let result = match (&failed, values.is_empty()) {
        (Some(_), _) => 0.0,
        (None, true) => 2.0,
        (None, false) => 1.0,
    };
    out.add(&RESULT, &[file], result);
    if failed.is_none() {
        let mut seen = hashbrown::HashSet::new();
        for (name, value) in values.iter().filter(|(name, _)| seen.insert(name.clone())) {
            out.add(&VALUES, &[("key", name), file], *value);
        }
    }
    Ok(failed)
}
