//! redis_exporter's flags for what is done elsewhere here, or cannot be done: accepted where that changes nothing, with a line in the
//! log; refused where something would be missing.

use crate::settings::{Error, Flag, Settings};

/// Accepted, since here it is so anyway.
static IDLE: [Flag; 2] = [
    Flag::switch("redis.redis-only-metrics", false, "Accepted and not needed: /metrics/redis has nothing else.")
        .env("REDIS_EXPORTER_REDIS_ONLY_METRICS")
        .hidden(),
    Flag::text("redis.web.telemetry-path", "", "Accepted and not needed: /metrics and /metrics/redis show Redis.")
        .env("REDIS_EXPORTER_WEB_TELEMETRY_PATH")
        .hidden(),
];

static NAMESPACE: Flag =
    Flag::text("redis.namespace", "redis", "redis and nothing else.").env("REDIS_EXPORTER_NAMESPACE").hidden();

const WEB_CONFIG: &str = "Refused: TLS and logins of this program are set in --web.config.file.";

/// Refused where they are given: what they are for is done elsewhere.
static GONE: [Flag; 12] = [
    text(
        "redis.web.listen-address",
        "REDIS_EXPORTER_WEB_LISTEN_ADDRESS",
        "Refused: one page shows all, at --web.listen-address.",
    ),
    text("redis.tls-server-key-file", "REDIS_EXPORTER_TLS_SERVER_KEY_FILE", WEB_CONFIG),
    text("redis.tls-server-cert-file", "REDIS_EXPORTER_TLS_SERVER_CERT_FILE", WEB_CONFIG),
    text("redis.tls-server-ca-cert-file", "REDIS_EXPORTER_TLS_SERVER_CA_CERT_FILE", WEB_CONFIG),
    text("redis.tls-server-min-version", "REDIS_EXPORTER_TLS_SERVER_MIN_VERSION", WEB_CONFIG),
    text("redis.basic-auth-username", "REDIS_EXPORTER_BASIC_AUTH_USERNAME", WEB_CONFIG),
    text("redis.basic-auth-password", "REDIS_EXPORTER_BASIC_AUTH_PASSWORD", WEB_CONFIG).secret(),
    text("redis.basic-auth-hash-password", "REDIS_EXPORTER_BASIC_AUTH_HASH_PASSWORD", WEB_CONFIG).secret(),
    text("redis.log-level", "REDIS_EXPORTER_LOG_LEVEL", "Refused: it is --log.level for the whole program."),
    text("redis.log-format", "REDIS_EXPORTER_LOG_FORMAT", "Refused: it is --log.format for the whole program."),
    switch("redis.debug", "REDIS_EXPORTER_DEBUG", "Refused: it is --log.level=debug for the whole program."),
    switch("redis.include-go-runtime-metrics", "INCLUDE_GO_RUNTIME_METRICS", "Refused: this program has no Go runtime."),
];

const fn text(name: &'static str, env: &'static str, help: &'static str) -> Flag {
    Flag::text(name, "", help).env(env).hidden()
}

const fn switch(name: &'static str, env: &'static str, help: &'static str) -> Flag {
    Flag::switch(name, false, help).env(env).hidden()
}

/// The flags, for the part's table.
pub(super) fn flags() -> impl Iterator<Item = &'static Flag> {
    IDLE.iter().chain([&NAMESPACE]).chain(&GONE)
}

/// Refuses what would leave something out in silence, and tells of what changes nothing.
pub(super) fn check(settings: &Settings) -> Result<(), Error> {
    if settings.text(&NAMESPACE) != "redis" {
        return Err(Error::new(format!("{}: families are called redis_* here, as dashboards have them", NAMESPACE.name)));
    }
    if let Some(flag) = GONE.iter().find(|flag| settings.switch(flag) || !settings.text(flag).is_empty()) {
        return Err(Error::new(format!("{}: {}", flag.name, flag.help.trim_start_matches("Refused: ").trim_end_matches('.'))));
    }
    for flag in IDLE.iter().filter(|flag| settings.is_given(flag)) {
        tracing::warn!(part = "redis", flag = flag.name, help = flag.help, "a flag of redis_exporter that changes nothing here");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Setting};

    fn with(flag: &Flag, setting: Setting) -> Result<(), String> {
        let mut settings = Settings::default();
        settings.set(flag, Origin::Environment, setting);
        check(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_done_elsewhere_is_refused_by_name() {
        assert!(with(&NAMESPACE, Setting::Text("cache".into())).unwrap_err().starts_with("redis.namespace: "));
        for flag in &GONE {
            let given = match flag.default {
                crate::settings::Default::Switch(_) => Setting::Switch(true),
                _ => Setting::Text("hunter2".into()),
            };
            let reason = with(flag, given).unwrap_err();
            assert!(reason.starts_with(&format!("{}: ", flag.name)) && !reason.contains("hunter2"), "{reason}");
            with(flag, flag.setting()).unwrap();
        }
    }

    #[test]
    fn what_changes_nothing_is_accepted() {
        with(&IDLE[0], Setting::Switch(true)).unwrap();
        with(&IDLE[1], Setting::Text("/metrics".into())).unwrap();
    }
}
