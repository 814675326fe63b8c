//! What to do about a failure: the first line of a table that fits.

use super::Part;
use crate::system::Fault;

/// A part (or all), what the failure's text must hold, and what to do then.
type Line = (Option<Part>, &'static str, &'static str);

const POSTGRES: Option<Part> = Some(Part::Postgres);
const REDIS: Option<Part> = Some(Part::Redis);

/// Servers and daemons, by their words and codes (PostgreSQL's SQLSTATE, Redis' error codes).
static REMOTE: [Line; 32] = [
    (POSTGRES, "28P01", "give the right password: --postgres.password-file, or the target's password_file"),
    (POSTGRES, "password missing", "the server wants a password: --postgres.password-file, or the target's password_file"),
    (POSTGRES, "28000", "let the user in from here: pg_hba.conf, and the role that `stack-exporter postgres grants` prints"),
    (POSTGRES, "3D000", "name a database that there is in the connection string"),
    (POSTGRES, "42501", "grant what is missing: `stack-exporter postgres grants` prints it"),
    (POSTGRES, "42P01", "make the extension in this database, or turn the collector off"),
    (
        POSTGRES,
        "42703",
        "a fork, or an extension of another version, lacks a column: ALTER EXTENSION UPDATE, or turn the collector off",
    ),
    (
        POSTGRES,
        "42883",
        "a fork, or an extension of another version, lacks a function: ALTER EXTENSION UPDATE, or turn the collector off",
    ),
    (POSTGRES, "SQLSTATE 0A", "this server does not support it: turn the collector off"),
    (POSTGRES, "55000", "name the library in shared_preload_libraries and restart the server, or turn the collector off"),
    (POSTGRES, "53300", "all connections are taken: see pg_stat_database_numbackends, and max_connections"),
    (POSTGRES, "57P03", "the server starts or stops; see its log if this lasts"),
    (POSTGRES, "57014", "the statement took too long: raise --postgres.timeout, or turn the collector off"),
    (POSTGRES, "55P03", "another session holds a lock on what is read; see pg_locks"),
    (POSTGRES, "older than PostgreSQL 10", "such a server cannot be watched; leave it out of the settings"),
    (REDIS, "WRONGPASS", "give the right user and password: --redis.user, --redis.password-file"),
    (REDIS, "NOAUTH", "give the password: --redis.password-file, or the container's label stack-exporter.redis.password-file"),
    (REDIS, "invalid password", "give the right password: --redis.password-file"),
    (REDIS, "NOPERM", "allow the user what is asked: `stack-exporter redis acl` prints the rules"),
    (REDIS, "LOADING", "the server reads its data set; wait"),
    (REDIS, "DENIED", "the server is in protected mode: set a password, or bind an address we reach it at"),
    (REDIS, "max number of clients", "all connections are taken: see redis_connected_clients, and maxclients"),
    (REDIS, "password file", "see that the file is there, readable and right"),
    (REDIS, "TLS", "see the server's certificate, and the flags --redis.tls-*"),
    (None, "Connection refused", "nothing listens there: start the server, or correct its address"),
    (None, "No such file", "there is no such socket or file: start the server, or correct the path"),
    (None, "Permission denied", "let the agent's user read it: run as root, or in the owning group"),
    (None, "No route to host", "the network does not lead there: join the server's network, or publish its port"),
    (None, "lookup address", "the name has no address: correct it, or the resolver's settings"),
    (None, "find the address", "the name has no address: correct it, or the resolver's settings"),
    (None, "does not answer", "the server hangs, or a firewall drops what we send"),
    (None, "no answer in time", "the server hangs or is slow, or a firewall drops what we send"),
];

/// What the operator can do about `fault`, told of `part`.
pub(super) fn advice(part: Part, fault: &Fault) -> &'static str {
    match fault {
        Fault::Absent(_) => "nothing to do",
        Fault::Read { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            "let the agent read this file: run as root, or mount the host's tree; or turn the collector off"
        }
        Fault::Read { .. } => "see the kernel's log; or turn the collector off",
        Fault::Parse { .. } => "this version writes another shape than we know: please report it with that version",
        Fault::Foreign(_) => "share the host's network: docker run --network=host, or network_mode: host",
        Fault::Late | Fault::Busy => {
            "see what hangs (a mount, a disk, a server), raise --scrape.timeout, or turn the collector off"
        }
        Fault::Down => "see why the target is down",
        Fault::Panic(_) => "a bug of the agent: please report it with the log",
        Fault::Remote(text) => {
            let fits = |line: &&Line| line.0.is_none_or(|only| only == part) && text.contains(line.1);
            REMOTE.iter().find(fits).map_or("see the server's own log", |line| line.2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_is_told() {
        let told = |part, text: &str| advice(part, &Fault::Remote(text.to_owned()));
        assert!(told(Part::Postgres, "password authentication failed (SQLSTATE 28P01)").contains("--postgres.password-file"));
        assert!(told(Part::Redis, "NOAUTH Authentication required.").contains("--redis.password-file"));
        assert!(told(Part::Redis, "cannot connect to redis://a:1: Connection refused (os error 111)").contains("listens"));
        assert_eq!(told(Part::Host, "WRONGPASS"), "see the server's own log");
    }
}
