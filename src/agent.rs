//! Puts the program together: settings, parts, scraper, web side.

use std::ffi::OsString;
use std::io::Write;
use std::sync::Arc;

use crate::scrape::{Catalog, Command, Scraper, Sources};
use crate::settings::{Error, Flag, Settings};
use crate::telemetry::Telemetry;
use crate::web::{self, Server};
use crate::{MODULES, cli, config, discovery, log, service, system, telemetry};

/// Every flag there is, in the order of `--help`.
pub fn flags() -> Vec<&'static Flag> {
    let general = [&config::FILE, &config::CHECK].into_iter();
    let general =
        general.chain(log::FLAGS).chain(web::FLAGS).chain(telemetry::FLAGS).chain(system::FLAGS).chain(discovery::flags());
    let parts = MODULES.iter().flat_map(|module| std::iter::once(&module.enabled).chain((module.flags)()));
    general.chain(parts).collect()
}

/// What the command line, the environment and the file together say, or a text to print instead of running.
pub fn settings(args: impl IntoIterator<Item = OsString>) -> Result<Result<Settings, String>, Error> {
    let (flags, mut settings) = (flags(), Settings::default());
    let commands: Vec<&Command> = MODULES.iter().flat_map(|module| module.commands).chain([&web::HEALTHCHECK]).collect();
    let described: Vec<_> = commands.iter().map(|command| (command.words, command.help)).collect();
    let mut args: Vec<OsString> = args.into_iter().collect();
    if args.get(1).is_some_and(|word| word == web::HEALTHCHECK.words) && args.len() == 2 {
        args.extend(web::served_arguments());
    }
    let asked = cli::read(&flags, &described, args, &mut settings)?;
    if let cli::Asked::Print(text) = asked {
        return Ok(Err(text));
    }
    config::read_environment(|name| std::env::var(name).ok(), &flags, &mut settings)?;
    let file = settings.text(&config::FILE);
    if !file.is_empty() {
        let text = std::fs::read_to_string(&file).map_err(|error| Error::new(format!("{file}: {error}")))?;
        config::read_file(&file, &text, &flags, &mut settings)?;
    }
    match asked {
        cli::Asked::Command(words) => commands
            .into_iter()
            .filter(|command| command.words == words)
            .map(|command| (command.text)(&settings))
            .collect::<Result<String, Error>>()
            .map(Err),
        _ => Ok(Ok(settings)),
    }
}

/// Runs until SIGTERM or SIGINT.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
    let settings = match settings(args)? {
        Ok(settings) => settings,
        Err(text) => return print(&text),
    };
    log::start(&settings)?;
    let io = |what: &str, error: std::io::Error| Error::new(format!("{what}: {error}"));
    // The blocking pool only resolves host names; four that hang are enough.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(4).build().map_err(|error| io("runtime", error))?;
    let served = runtime.block_on(async {
        let sources = Sources::default();
        for module in MODULES.iter().filter(|module| settings.switch(&module.enabled)) {
            (module.start)(&settings, &sources)?;
        }
        let telemetry = Arc::new(Telemetry::new(&settings).map_err(|error| Error::new(error.to_string()))?);
        let own = telemetry.clone();
        let scraper = Arc::new(Scraper::new(sources, move |duplicates, out| own.emit(duplicates, out)));
        let server = Server::new(&settings, Catalog::of(&MODULES, &settings), scraper, telemetry)?;
        if settings.switch(&config::CHECK) {
            return print(&config::describe(&flags(), &settings));
        }
        let listeners = web::bind(&settings)?;
        let stop = stop().map_err(|error| io("signals", error))?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "stack-exporter starts");
        // The sockets are bound: whoever connects from here on is answered.
        let manager = service::manager();
        let served = server.serve(listeners, stop).await.map_err(|error| io("listener", error));
        drop(manager);
        served
    });
    // Whatever still blocks (a read from a hung mount) must not hold the process.
    runtime.shutdown_background();
    served
}

/// Resolves at the first SIGTERM or SIGINT.
fn stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    })
}

fn print(text: &str) -> Result<(), Error> {
    // A closed pipe (`--help | head`) is no error worth telling.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}
