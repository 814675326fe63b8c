//! The settings of TLS to the server of `--redis.addr`, in redis_exporter's words. Servers of the file's list have their own, `tls`.

use std::path::PathBuf;

use crate::settings::{Flag, Settings, Tls};

static KEY: Flag = Flag::text("redis.tls-client-key-file", "", "Key of the certificate that the Redis server is shown.")
    .env("REDIS_EXPORTER_TLS_CLIENT_KEY_FILE");
static CERT: Flag = Flag::text("redis.tls-client-cert-file", "", "Certificate that the Redis server is shown, if it wants one.")
    .env("REDIS_EXPORTER_TLS_CLIENT_CERT_FILE");
static CA: Flag =
    Flag::text("redis.tls-ca-cert-file", "", "CA certificates to trust for the Redis server; those of the system if not given.")
        .env("REDIS_EXPORTER_TLS_CA_CERT_FILE");
static NAME: Flag =
    Flag::text("redis.tls-server-name", "", "Name that the Redis server's certificate must have, if not that of its address.")
        .env("REDIS_EXPORTER_TLS_SERVER_NAME");
static SKIP: Flag = Flag::switch("redis.skip-tls-verification", false, "Take any certificate of the Redis server.")
    .env("REDIS_EXPORTER_SKIP_TLS_VERIFICATION");

pub(super) static FLAGS: [&Flag; 5] = [&KEY, &CERT, &CA, &NAME, &SKIP];

/// What the flags say.
pub(super) fn given(settings: &Settings) -> Tls {
    let filled = |flag| Some(settings.text(flag)).filter(|text| !text.is_empty());
    Tls {
        ca_file: filled(&CA).map(PathBuf::from),
        cert_file: filled(&CERT).map(PathBuf::from),
        key_file: filled(&KEY).map(PathBuf::from),
        server_name: filled(&NAME),
        insecure_skip_verify: settings.switch(&SKIP),
    }
}
