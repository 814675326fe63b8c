//! Puts the program together: settings, parts, scraper, web side.

use std::ffi::OsString;
use std::io::Write;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::generation::{Generation, Succession};
use crate::scrape::Command;
use crate::settings::{Error, Flag, Settings};
use crate::telemetry::Telemetry;
use crate::web::{self, Orders, Reload, Server};
use crate::{MODULES, audit, cli, config, discovery, log, service, system, telemetry};

/// Every flag there is, in the order of `--help`.
pub fn flags() -> Vec<&'static Flag> {
    let general = [&config::FILE, &config::CHECK].into_iter();
    let general = general
        .chain(log::FLAGS)
        .chain(web::FLAGS)
        .chain(telemetry::FLAGS)
        .chain(system::FLAGS)
        .chain(discovery::flags())
        .chain(audit::flags());
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
    let args: Vec<OsString> = args.into_iter().collect();
    let settings = match settings(args.clone())? {
        Ok(settings) => settings,
        Err(text) => return print(&text),
    };
    log::start(&settings)?;
    // The blocking pool only resolves host names; four that hang are enough.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(4).build().map_err(|error| io("runtime", error))?;
    let served = runtime.block_on(serve(args, settings));
    // Whatever still blocks (a read from a hung mount) must not hold the process.
    runtime.shutdown_background();
    served
}

async fn serve(args: Vec<OsString>, settings: Settings) -> Result<(), Error> {
    let telemetry = Arc::new(Telemetry::new(&settings));
    let (reload, orders) = Reload::new();
    let (current, gate) = Generation::start(settings.clone(), &telemetry, &reload)?;
    if settings.switch(&config::CHECK) {
        return print(&config::describe(&flags(), &settings));
    }
    let listeners = web::bind(&settings)?;
    let (stop, hangup) = signals().map_err(|error| io("signals", error))?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "stack-exporter starts");
    let server = Arc::new(Server::new(gate));
    let read = move || self::settings(args.clone())?.map_err(|_| Error::new("the settings ask for a text, not for an agent"));
    let succession = Succession { read: Box::new(read), current, telemetry, reload, server: server.clone() };
    // The sockets are bound: whoever connects from here on is answered.
    let manager = service::manager();
    let served = tokio::select! {
        served = server.serve(listeners, stop) => served.map_err(|error| io("listener", error)),
        () = follow(succession, orders, hangup) => Ok(()),
    };
    drop(manager);
    served
}

/// Reads the settings again whenever a signal or a request asks for it, for ever.
async fn follow(mut succession: Succession, mut orders: Orders, mut hangup: Signal) {
    loop {
        // Neither ends while the agent runs: the gate holds the other end of the orders.
        let asked = tokio::select! {
            _ = hangup.recv() => None,
            asked = orders.recv() => asked,
        };
        let verdict = succession.succeed().await;
        if let Some(asked) = asked {
            let _ = asked.send(verdict);
        }
    }
}

fn io(what: &str, error: std::io::Error) -> Error {
    Error::new(format!("{what}: {error}"))
}

/// What resolves at the first SIGTERM or SIGINT, and each SIGHUP.
fn signals() -> std::io::Result<(impl Future<Output = ()>, Signal)> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    };
    Ok((stop, signal(SignalKind::hangup())?))
}

fn print(text: &str) -> Result<(), Error> {
    // A closed pipe (`--help | head`) is no error worth telling.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}
