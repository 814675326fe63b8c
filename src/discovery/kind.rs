//! Which containers are a PostgreSQL, and which are a Redis.

use super::container::Container;

/// A product that is looked for in containers.
#[derive(Debug)]
pub struct Kind {
    /// The part that watches it, and the name of its label: `stack-exporter.postgres`.
    pub part: &'static str,
    /// Its name in log lines.
    pub title: &'static str,
    /// Names of images, without registry, folders and tag.
    images: &'static [&'static str],
    /// Its ports, the usual one first.
    ports: [u16; 2],
    /// Folders inside of the container that hold its socket, if images put one anywhere by default.
    pub(super) sockets: &'static [&'static str],
}

/// PostgreSQL.
pub static POSTGRES: Kind = Kind {
    part: "postgres",
    title: "PostgreSQL",
    images: &[
        "citus",
        "cloudnative-pg",
        "paradedb",
        "percona-distribution-postgresql",
        "pgvector",
        "postgis",
        "postgres",
        "postgresql",
        "postgresql-repmgr",
        "spilo",
        "timescaledb",
        "timescaledb-ha",
    ],
    ports: [5432, 5432],
    sockets: &["/var/run/postgresql", "/tmp"],
};

/// Redis, Valkey and their like, Sentinels among them.
pub static REDIS: Kind = Kind {
    part: "redis",
    title: "Redis",
    images: &[
        "dragonfly",
        "keydb",
        "redict",
        "redis",
        "redis-cluster",
        "redis-sentinel",
        "redis-stack",
        "redis-stack-server",
        "valkey",
        "valkey-bundle",
        "valkey-cluster",
        "valkey-sentinel",
    ],
    ports: [6379, 26379],
    sockets: &[],
};

impl Kind {
    /// Whether the container is one by its image or a port that it exposes.
    pub(super) fn is(&self, container: &Container) -> bool {
        self.images.contains(&image(&container.image)) || container.exposed.iter().any(|port| self.ports.contains(port))
    }

    /// The port that the container most likely listens on.
    pub(super) fn port(&self, container: &Container) -> u16 {
        let [usual, _] = self.ports;
        self.ports.into_iter().find(|port| container.exposed.contains(port)).unwrap_or(usual)
    }
}

/// Whether the container may be a database of any kind.
pub(super) fn is_any(container: &Container) -> bool {
    !container.settings.is_empty() || [&POSTGRES, &REDIS].into_iter().any(|kind| kind.is(container))
}

/// `timescaledb` of `registry:5000/timescale/timescaledb:latest-pg16@sha256:…`
fn image(text: &str) -> &str {
    let text = text.split('@').next().unwrap_or_default();
    let last = text.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_ports() {
        let is = |kind: &Kind, image: &str, exposed: &[u16]| {
            kind.is(&Container { image: image.into(), exposed: exposed.into(), ..Container::default() })
        };
        for image in [
            "postgres",
            "postgres:14",
            "docker.io/library/postgres:16-alpine",
            "registry:5000/timescale/timescaledb:latest@sha256:1",
        ] {
            assert!(is(&POSTGRES, image, &[]) && !is(&REDIS, image, &[]), "{image}");
        }
        for image in ["redis", "redis:6", "bitnami/valkey", "docker.dragonflydb.io/dragonflydb/dragonfly"] {
            assert!(is(&REDIS, image, &[]), "{image}");
        }
        for image in ["", "sha256:abcdef", "prometheuscommunity/postgres-exporter", "oliver006/redis_exporter", "postgres/app:1"]
        {
            assert!(!is(&POSTGRES, image, &[]) && !is(&REDIS, image, &[]), "{image}");
        }
        assert!(is(&POSTGRES, "shop/db", &[80, 5432]) && is(&REDIS, "x", &[26379]));
        let sentinel = Container { exposed: vec![26379], ..Container::default() };
        assert_eq!((REDIS.port(&sentinel), REDIS.port(&Container::default())), (26379, 6379));
    }
}
