//! Which servers: the settings that name them, and the connection strings that come of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::dsn::{Dsn, Host};
use super::pairs;
use super::security::{Mode, Security};
use super::surroundings::Surroundings;
use super::target::Access;
use crate::discovery::{Place, Wish};
use crate::settings::{Error, Flag, Secret, Settings};

static DSN: Flag =
    Flag::text("postgres.dsn", "", "Connection string, as URL or key=value pairs; several with commas between them.")
        .env("DATA_SOURCE_NAME")
        .secret();
static URI: Flag = Flag::text("postgres.uri", "", "host:port/database?parameters, where no connection string is given.")
    .env("DATA_SOURCE_URI")
    .secret();
static URI_FILE: Flag = Flag::text("postgres.uri-file", "", "File that holds --postgres.uri.").env("DATA_SOURCE_URI_FILE");
static USER: Flag = Flag::text("postgres.user", "", "User for --postgres.uri.").env("DATA_SOURCE_USER");
static USER_FILE: Flag = Flag::text("postgres.user-file", "", "File that holds --postgres.user.").env("DATA_SOURCE_USER_FILE");
static PASSWORD: Flag =
    Flag::text("postgres.password", "", "Password for --postgres.uri; better a file.").env("DATA_SOURCE_PASS").secret();
static PASSWORD_FILE: Flag =
    Flag::text("postgres.password-file", "", "File that holds the password for --postgres.uri; read for each connection.")
        .env("DATA_SOURCE_PASS_FILE");
static PGBOUNCER: Flag =
    Flag::text("postgres.pgbouncer", "", "Connection string of a PgBouncer's console; several with commas between them.")
        .env("PGBOUNCER_EXPORTER_CONNECTION_STRING")
        .secret();
static FIND: Flag =
    Flag::switch("postgres.find", true, "Look for servers in containers, and for local ones where none is given.");
static FIND_USER: Flag = Flag::text("postgres.find.user", "postgres", "User for servers that were found.").env("PGUSER");
static CONNECT_TIMEOUT: Flag =
    Flag::time("postgres.connect-timeout", Duration::from_secs(2), "The longest that a scrape waits for a connection.");
static TIMEOUT: Flag =
    Flag::time("postgres.timeout", Duration::from_secs(5), "The longest that a scrape waits for one server in all.");

/// The flags of this part that are not a collector's.
pub(super) static FLAGS: [&Flag; 12] = [
    &DSN,
    &PGBOUNCER,
    &URI,
    &URI_FILE,
    &USER,
    &USER_FILE,
    &PASSWORD,
    &PASSWORD_FILE,
    &FIND,
    &FIND_USER,
    &CONNECT_TIMEOUT,
    &TIMEOUT,
];

/// A server that was named.
#[derive(Debug)]
pub(super) struct Named {
    /// The label `target`, or `None` for the one server that postgres_exporter's own variables give.
    pub(super) label: Option<String>,
    pub(super) access: Access,
}

/// All servers that the settings name.
pub(super) fn named(settings: &Settings) -> Result<Vec<Named>, Error> {
    named_in(&Surroundings { variable: &variable }, settings)
}

/// A variable of this process's environment.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn named_in(surroundings: &Surroundings<'_>, settings: &Settings) -> Result<Vec<Named>, Error> {
    let mut list = given(surroundings, settings)?;
    for target in &settings.postgres_targets {
        let wrong = |reason: String| Error::new(format!("postgres.targets: {}: {reason}", target.name));
        let mut dsn = Dsn::parse_in(surroundings, &target.address).map_err(wrong)?;
        if let Some(tls) = &target.tls {
            dsn.security = Security::of(tls);
        }
        dsn.user = target.user.clone().or(dsn.user);
        dsn.password = target.password.clone().or(dsn.password);
        let access = access(dsn, target.password_file.clone(), settings).map_err(wrong)?;
        list.push(Named { label: Some(target.name.clone()), access });
    }
    let mut names: Vec<_> = list.iter().filter_map(|named| named.label.as_deref()).collect();
    names.sort_unstable();
    match names.chunk_by(|one, other| one == other).find(|same| same.len() > 1) {
        Some(same) => Err(Error::new(format!("postgres.targets: two targets are called {}", same.first().unwrap_or(&"")))),
        None => Ok(list),
    }
}

/// The servers of the connection string, or else of its pieces, and the PgBouncers.
fn given(surroundings: &Surroundings<'_>, settings: &Settings) -> Result<Vec<Named>, Error> {
    let mut list = strings(settings, &DSN, |string| Dsn::parse_in(surroundings, string))?;
    if list.is_empty() {
        list.extend(pieces(surroundings, settings)?);
    }
    list.extend(strings(settings, &PGBOUNCER, |string| Dsn::parse_pgbouncer(surroundings, string))?);
    Ok(list)
}

/// What a list of connection strings names; one alone has no label.
fn strings(settings: &Settings, flag: &Flag, parse: impl Fn(&str) -> Result<Dsn, String>) -> Result<Vec<Named>, Error> {
    let text = settings.text(flag);
    let strings = pairs::split(&text);
    let several = strings.len() > 1;
    let mut list: Vec<Named> = Vec::new();
    for (at, string) in strings.iter().enumerate() {
        let place = if several { format!("{}, number {}", flag.name, at + 1) } else { flag.name.to_owned() };
        let dsn = parse(string).map_err(|reason| Error::new(format!("{place}: {reason}")))?;
        let mut label = dsn.address();
        if list.iter().any(|named| named.label.as_ref() == Some(&label)) {
            label = format!("{label}/{}", dsn.database.as_deref().unwrap_or_default());
        }
        let access = access(dsn, None, settings).map_err(|reason| Error::new(format!("{place}: {reason}")))?;
        list.push(Named { label: several.then_some(label), access });
    }
    Ok(list)
}

/// The server of DATA_SOURCE_URI and its companions, a file having precedence over what it stands for.
fn pieces(surroundings: &Surroundings<'_>, settings: &Settings) -> Result<Option<Named>, Error> {
    let either = |flag: &Flag, file: &Flag| match settings.text(file) {
        path if path.is_empty() => Ok(settings.text(flag)),
        path => read(Path::new(&path)).map_err(|reason| Error::new(format!("{}: {reason}", file.name))),
    };
    let uri = either(&URI, &URI_FILE)?;
    if uri.is_empty() {
        return Ok(None);
    }
    let wrong = |reason: String| Error::new(format!("{}: {reason}", URI.name));
    let mut dsn = Dsn::parse_in(surroundings, &format!("postgresql://{uri}")).map_err(wrong)?;
    dsn.user = Some(either(&USER, &USER_FILE)?).filter(|user| !user.is_empty()).or(dsn.user);
    let password = settings.text(&PASSWORD);
    if !password.is_empty() {
        dsn.password = Some(Secret::new(password));
    }
    let file = Some(settings.text(&PASSWORD_FILE)).filter(|file| !file.is_empty());
    let access = access(dsn, file.map(PathBuf::from), settings)
        .map_err(|reason| Error::new(format!("{}: {reason}", PASSWORD_FILE.name)))?;
    Ok(Some(Named { label: None, access }))
}

fn access(dsn: Dsn, password_file: Option<PathBuf>, settings: &Settings) -> Result<Access, String> {
    // A file that is missing now, or of TLS no use, is a mistake worth telling before the port is open; later it may come and go.
    password_file.as_deref().map(password).transpose()?;
    if !dsn.hosts.iter().all(Host::is_socket) {
        dsn.security.check()?;
    }
    Ok(timed(dsn, password_file, settings))
}

/// With how long to try.
pub(super) fn timed(dsn: Dsn, password_file: Option<PathBuf>, settings: &Settings) -> Access {
    Access { dsn, password_file, connect_timeout: settings.time(&CONNECT_TIMEOUT), timeout: settings.time(&TIMEOUT) }
}

/// Whether to look for servers that nobody named.
pub(super) fn find(settings: &Settings) -> bool {
    settings.switch(&FIND)
}

/// How to reach a server that was found.
pub(super) fn found(settings: &Settings, host: &str, port: u16) -> Access {
    let (user, database) = (Some(settings.text(&FIND_USER)), Some("postgres".to_owned()));
    // A user whom the operator chose is no business of the socket's owner.
    let as_owner = !settings.is_given(&FIND_USER);
    // Without TLS where that is let in: what is found is mostly on this machine.
    let security = Security::of_mode(Mode::Allow);
    let dsn = Dsn { hosts: vec![Host::new(host, port)], user, database, as_owner, security, ..Dsn::default() };
    timed(dsn, None, settings)
}

/// How to reach a server in a container: as the operator's labels say, or else as the container's first user. `None` where that is not
/// possible: with a kind of TLS that there is not.
pub(super) fn contained(settings: &Settings, wish: &Wish, place: &Place) -> Option<Access> {
    let mut access = found(settings, &place.host, place.port);
    if let Some(mode) = &wish.tls {
        let word = mode.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let dsn = Dsn::parse(&format!("sslmode={mode}")).ok().filter(|_| word)?;
        access.dsn = Dsn {
            hosts: access.dsn.hosts,
            user: access.dsn.user,
            database: access.dsn.database,
            as_owner: access.dsn.as_owner,
            ..dsn
        };
        access.dsn.security.folder = Surroundings { variable: &variable }.folder();
    }
    let dsn = &mut access.dsn;
    if let Some(user) = &wish.user {
        (dsn.user, dsn.as_owner) = (Some(user.clone()), false);
    } else if let Some(owner) = wish.owner.as_ref().filter(|_| dsn.as_owner) {
        dsn.user = Some(owner.clone());
    }
    dsn.database = wish.database.clone().or(dsn.database.take());
    dsn.password.clone_from(&wish.password);
    access.password_file.clone_from(&wish.password_file);
    Some(access)
}

/// The password in a file.
pub(super) fn password(path: &Path) -> Result<Secret, String> {
    read(path).map(Secret::new)
}

/// The text of a small file, trimmed as postgres_exporter does.
fn read(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Setting, Target};

    fn named(settings: &Settings) -> Result<Vec<Named>, Error> {
        named_in(&Surroundings { variable: &|_| None }, settings)
    }

    fn set(pairs: &[(&Flag, &str)]) -> Settings {
        let mut settings = Settings::default();
        pairs.iter().for_each(|(flag, text)| settings.set(flag, Origin::Environment, Setting::Text((*text).to_owned())));
        settings
    }

    #[test]
    fn one_string_has_no_label_and_several_have() {
        let labels = |text| named(&set(&[(&DSN, text)])).unwrap().into_iter().map(|named| named.label).collect::<Vec<_>>();
        assert_eq!(labels("postgres://a:1/x"), [None]);
        let three = labels("postgres://a:1/x,host=b port=2,postgres://a:1/y");
        assert_eq!(three, [Some("a:1".into()), Some("b:2".into()), Some("a:1/y".into())]);
        assert!(named(&Settings::default()).unwrap().is_empty());
    }

    #[test]
    fn pieces_are_put_together_and_files_win() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("user");
        std::fs::write(&file, " monitor\n").unwrap();
        let settings = set(&[
            (&URI, "db:6432/shop?sslmode=disable"),
            (&USER, "x"),
            (&USER_FILE, file.to_str().unwrap()),
            (&PASSWORD, "p@/:,w"),
        ]);
        let [one] = &named(&settings).unwrap()[..] else { panic!() };
        assert_eq!((&one.label, one.access.dsn.address().as_str()), (&None, "db:6432"));
        assert_eq!(one.access.dsn.user.as_deref(), Some("monitor"));
        assert_eq!(one.access.dsn.password.as_ref().unwrap().reveal(), "p@/:,w");
        std::fs::remove_file(&file).unwrap();
        assert!(named(&settings).unwrap_err().to_string().starts_with("postgres.user-file: "));
    }

    #[test]
    fn targets_of_the_file_are_named_once() {
        let target = |name: &str| Target {
            name: name.to_owned(),
            address: "host=db user=a".to_owned(),
            user: Some("b".to_owned()),
            password: Some(Secret::new("pw")),
            ..Target::default()
        };
        let mut settings = Settings::default();
        settings.postgres_targets.push(target("main"));
        let [one] = &named(&settings).unwrap()[..] else { panic!() };
        assert_eq!((one.label.as_deref(), one.access.dsn.user.as_deref()), (Some("main"), Some("b")));
        settings.postgres_targets.push(target("main"));
        assert!(named(&settings).unwrap_err().to_string().contains("main"));
    }

    #[test]
    fn a_container_is_asked_as_its_labels_say() {
        let place = Place { how: "network", host: "172.17.0.2".into(), port: 5433 };
        let wish = Wish { owner: Some("shop".into()), ..Wish::default() };
        let dsn = |settings: &Settings, wish: &Wish| contained(settings, wish, &place).unwrap().dsn;
        let plain = dsn(&Settings::default(), &wish);
        assert_eq!((plain.address().as_str(), plain.user.as_deref(), plain.as_owner), ("172.17.0.2:5433", Some("shop"), true));
        assert_eq!(plain.database.as_deref(), Some("postgres"));
        let chosen = dsn(&set(&[(&FIND_USER, "monitor")]), &wish);
        assert_eq!((chosen.user.as_deref(), chosen.as_owner), (Some("monitor"), false));
        let wish = Wish { user: Some("me".into()), database: Some("db".into()), tls: Some("disable".into()), ..wish };
        let labelled = dsn(&set(&[(&FIND_USER, "monitor")]), &wish);
        assert_eq!((labelled.user.as_deref(), labelled.database.as_deref()), (Some("me"), Some("db")));
        assert_eq!(labelled.hosts, [Host::new("172.17.0.2", 5433)]);
        for wrong in ["nonsense", "disable host=10.0.0.1", "prefer' password='x"] {
            assert!(
                contained(&Settings::default(), &Wish { tls: Some(wrong.into()), ..Wish::default() }, &place).is_none(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn mistakes_name_the_setting_and_no_secret() {
        let error = named(&set(&[(&DSN, "postgres://me:secret@db:x/y")])).unwrap_err().to_string();
        assert!(error.starts_with("postgres.dsn: ") && !error.contains("secret"), "{error}");
        let error = named(&set(&[(&URI, "db"), (&PASSWORD_FILE, "/does/not/exist")])).unwrap_err().to_string();
        assert!(error.starts_with("postgres.password-file: /does/not/exist"), "{error}");
    }
}
