//! The file of `--postgres.auth-modules`: how to sign in to servers that a request for `/probe` names, as postgres_exporter.yml has it.
//!
//! ```yaml
//! auth_modules:
//!   monitor:
//!     type: userpass
//!     userpass: {username: monitor, password: s3cret}
//!     options: {sslmode: verify-full}
//! ```
//!
//! It is read strictly, and errors never quote a value.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::dsn::Dsn;
use super::target::Access;
use crate::settings::{Error, Flag, Secret, Settings};

pub(super) static FLAG: Flag = Flag::text(
    "postgres.auth-modules",
    "",
    "File of users and passwords for /probe?auth_module=, in the format of postgres_exporter.yml.",
);

/// Modules by name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Modules {
    #[serde(default, rename = "auth_modules")]
    list: BTreeMap<String, Module>,
}

/// How to sign in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Module {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    userpass: User,
    #[serde(default)]
    options: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: Option<Secret>,
}

/// What a module has its own words for, or the request tells.
const TAKEN: [&str; 7] = ["host", "hostaddr", "port", "user", "password", "service", "servicefile"];

impl Modules {
    pub(super) fn read(settings: &Settings) -> Result<Self, Error> {
        let path = settings.text(&FLAG);
        if path.is_empty() {
            return Ok(Modules::default());
        }
        let text = std::fs::read_to_string(&path).map_err(|error| Error::new(format!("{}: {path}: {error}", FLAG.name)))?;
        Modules::parse(&text).map_err(|reason| Error::new(format!("{}: {path}: {reason}", FLAG.name)))
    }

    /// Reads the text of a file.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Modules::default());
        }
        let modules: Modules = yaml_serde::from_str(text).map_err(|error| {
            // What the parser says may quote what it read; where that was is enough.
            let at = error.location().map(|at| format!(" (line {}, column {})", at.line(), at.column()));
            format!("no auth_modules with type, userpass and options as texts{}", at.unwrap_or_default())
        })?;
        for (name, module) in &modules.list {
            let wrong = |what: &str| format!("auth_modules: {name:?}: {what}");
            if module.kind != "userpass" {
                return Err(wrong("type is not userpass"));
            }
            if module.userpass.username.is_empty() || module.userpass.password.is_none() {
                return Err(wrong("userpass takes a username and a password"));
            }
            if let Some(key) = module.options.keys().find(|key| TAKEN.contains(&key.as_str())) {
                return Err(wrong(&format!("{key} is none of the options")));
            }
            module.sign(&mut Dsn::default()).map_err(|reason| wrong(&reason))?;
        }
        Ok(modules)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Module> {
        self.list.get(name)
    }
}

impl Module {
    /// Has `access` sign in as this module says.
    pub(super) fn apply(&self, access: &mut Access) -> Result<(), String> {
        access.password_file = None;
        self.sign(&mut access.dsn)
    }

    fn sign(&self, dsn: &mut Dsn) -> Result<(), String> {
        (dsn.user, dsn.as_owner) = (Some(self.userpass.username.clone()), false);
        dsn.password.clone_from(&self.userpass.password);
        self.options.iter().try_for_each(|(key, value)| dsn.set(key, value.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_read_as_postgres_exporter_does() {
        let text = "auth_modules:\n  foo:\n    type: userpass\n    userpass: {username: me, password: pw}\n    options: {sslmode: disable, search_path: a}\n";
        let modules = Modules::parse(text).unwrap();
        let mut dsn = Dsn { as_owner: true, ..Dsn::default() };
        modules.get("foo").unwrap().sign(&mut dsn).unwrap();
        assert_eq!((dsn.user.as_deref(), dsn.password.unwrap().reveal(), dsn.as_owner), (Some("me"), "pw", false));
        assert_eq!(dsn.options, "-c search_path=a");
        assert!(modules.get("bar").is_none());
        for empty in ["", "auth_modules: {}", "{}", "# nothing\n"] {
            assert!(Modules::parse(empty).is_ok(), "{empty}");
        }
    }

    #[test]
    fn mistakes_are_told_without_the_password() {
        for (text, tells) in [
            ("auth_modules: {a: {type: userpass, userpass: {username: me}}}", "password"),
            ("auth_modules: {a: {type: userpass}}", "username"),
            ("auth_modules: {a: {type: iam, userpass: {username: me, password: secret}}}", "type"),
            ("auth_modules: {a: {type: userpass, userpass: {username: me, password: secret}, options: {host: secret}}}", "host"),
            (
                "auth_modules: {a: {type: userpass, userpass: {username: me, password: secret}, options: {sslmode: secret}}}",
                "sslmode",
            ),
            ("auth_modules: {a: {type: userpass, userpass: {username: me, passwd: secret}}}", "line 1"),
            ("auth_modules: secret", "auth_modules"),
            ("modules: {}", "auth_modules"),
        ] {
            let error = Modules::parse(text).unwrap_err();
            assert!(error.contains(tells) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
