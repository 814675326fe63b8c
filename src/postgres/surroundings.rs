//! What libpq adds to a connection string: a service's parameters, those of the environment, and the files of the user's home.
//!
//! ```text
//! # ~/.pg_service.conf
//! [shop]
//! host=db.example
//! user=monitor
//! ```

use std::path::{Path, PathBuf};

use super::pairs::Pairs;

/// Environment variables and the parameters they stand for.
const VARIABLES: [(&str, &str); 20] = [
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGPASSFILE", "passfile"),
    ("PGAPPNAME", "application_name"),
    ("PGOPTIONS", "options"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLSNI", "sslsni"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGREQUIREPEER", "requirepeer"),
    ("PGCHANNELBINDING", "channel_binding"),
];

/// The most that is read of a service file.
const LONGEST: u64 = 1024 * 1024;

/// Where the agent runs.
pub(super) struct Surroundings<'a> {
    /// An environment variable, if it is set.
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Surroundings<'_> {
    /// Adds to `pairs` what is not in them: first of the service that they or the environment name, then of the environment.
    pub(super) fn complete(&self, pairs: &mut Pairs) -> Result<(), String> {
        let given = |pairs: &Pairs, key: &str| pairs.iter().rfind(|(known, _)| known == key).map(|(_, value)| value.clone());
        if let Some(service) = given(pairs, "service").or_else(|| self.variable("PGSERVICE")).filter(|name| !name.is_empty()) {
            let file = given(pairs, "servicefile").map(PathBuf::from);
            add(pairs, self.service(&service, file)?);
        }
        let variables = VARIABLES.iter().filter_map(|(variable, key)| Some(((*key).to_owned(), self.variable(variable)?)));
        let mut variables: Pairs = variables.collect();
        if given(pairs, "host").is_some() {
            // An address is that of one host, not of any.
            variables.retain(|(key, _)| key != "hostaddr");
        }
        add(pairs, variables);
        if let Some(home) = self.home() {
            let passfile = home.join(".pgpass").to_string_lossy().into_owned();
            add(pairs, vec![("passfile".to_owned(), passfile)]);
        }
        Ok(())
    }

    /// `~/.postgresql`
    pub(super) fn folder(&self) -> Option<PathBuf> {
        self.home().map(|home| home.join(".postgresql"))
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").map(PathBuf::from)
    }

    /// The parameters of a service: of the file that is named, or else of the user's and then of the system's.
    fn service(&self, name: &str, file: Option<PathBuf>) -> Result<Pairs, String> {
        let named = file.or_else(|| self.variable("PGSERVICEFILE").map(PathBuf::from));
        let own = self.home().map(|home| home.join(".pg_service.conf"));
        // Debian's libpq looks in the second where the variable says nothing.
        let folder = self.variable("PGSYSCONFDIR").unwrap_or_else(|| "/etc/postgresql-common".to_owned());
        let all = Path::new(&folder).join("pg_service.conf");
        let must = named.is_some();
        for file in named.or(own).into_iter().chain([all]) {
            let text = match std::fs::File::open(&file) {
                Ok(text) => text,
                Err(error) if must => return Err(format!("{}: {error}", file.display())),
                Err(_) => continue,
            };
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::Read::take(text, LONGEST), &mut bytes)
                .map_err(|error| format!("{}: {error}", file.display()))?;
            let found = section(&String::from_utf8_lossy(&bytes), name);
            if let Some(pairs) = found.map_err(|reason| format!("{}: {reason}", file.display()))? {
                return Ok(pairs);
            }
        }
        Err("no service file has the service that is named".to_owned())
    }
}

/// Adds those whose key is not there. `database` is lib/pq's other word for `dbname`.
fn add(pairs: &mut Pairs, more: Pairs) {
    let same = |one: &str, other: &str| one == other || (one == "database" && other == "dbname");
    let mut more = more;
    more.retain(|(key, _)| !pairs.iter().any(|(known, _)| same(known, key)));
    pairs.extend(more);
}

/// The parameters in the first section called `name`, of which the first of each key counts.
pub(super) fn section(text: &str, name: &str) -> Result<Option<Pairs>, String> {
    let mut pairs: Option<Pairs> = None;
    for (at, line) in text.lines().map(str::trim).enumerate() {
        let wrong = |what: &str| format!("line {}: {what}", at + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix('[') {
            if pairs.is_some() {
                break;
            }
            if title.strip_suffix(']') == Some(name) {
                pairs = Some(Pairs::new());
            }
            continue;
        }
        let Some(pairs) = &mut pairs else { continue };
        let (key, value) = line.split_once('=').ok_or_else(|| wrong("neither [name] nor key=value"))?;
        if matches!(key, "service" | "servicefile") {
            return Err(wrong("a service cannot name another"));
        }
        add(pairs, vec![(key.to_owned(), value.to_owned())]);
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Pairs {
        list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn sections_are_read_as_libpq_does() {
        let text = "# c\nstray\n[a]\nhost=x\n[b]\n  # c\nhost=y z\nhost=late\npassword=a=b \n\n[b]\nuser=never\n";
        assert_eq!(section(text, "b").unwrap().unwrap(), pairs(&[("host", "y z"), ("password", "a=b")]));
        assert_eq!(section(text, "c"), Ok(None));
        assert!(section("[a]\nsecret", "a").unwrap_err().starts_with("line 2: "));
        assert!(!section("[a]\nsecret", "a").unwrap_err().contains("secret"));
        assert!(section("[a]\nservice=b", "a").is_err());
    }

    #[test]
    fn what_is_nearer_counts() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".pg_service.conf"), "[shop]\nhost=service\nuser=service\n").unwrap();
        let home = folder.path().to_str().unwrap().to_owned();
        let environment = |name: &str| match name {
            "HOME" => Some(home.clone()),
            "PGUSER" | "PGHOSTADDR" | "PGSSLMODE" | "PGDATABASE" => Some("environment".to_owned()),
            "PGPORT" => Some(String::new()),
            _ => None,
        };
        let surroundings = Surroundings { variable: &environment };
        let mut given = pairs(&[("database", "string"), ("service", "shop")]);
        surroundings.complete(&mut given).unwrap();
        let value =
            |key: &str| given.iter().filter(|(known, _)| known == key).map(|(_, value)| value.as_str()).collect::<Vec<_>>();
        assert_eq!((value("database"), value("dbname")), (vec!["string"], vec![]));
        assert_eq!((value("host"), value("user"), value("hostaddr")), (vec!["service"], vec!["service"], vec![]));
        assert_eq!((value("sslmode"), value("port")), (vec!["environment"], vec![]));
        assert_eq!(value("passfile"), [format!("{home}/.pgpass")]);
        for wrong in [pairs(&[("service", "other")]), pairs(&[("service", "shop"), ("servicefile", "/does/not/exist")])] {
            let error = surroundings.complete(&mut wrong.clone()).unwrap_err();
            assert!(error.contains("service") || error.contains("/does/not/exist"), "{error}");
        }
        assert_eq!(surroundings.folder(), Some(folder.path().join(".postgresql")));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = section(&text, "a");
        }
    }
}
