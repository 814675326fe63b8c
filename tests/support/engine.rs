//! A container engine of a test's own making, by its socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

/// Answers one question (method and path, how often it was asked before) with a status and a body; `None`: never.
pub type Answer = fn(&str, usize) -> Option<(u16, String)>;

/// An engine on a socket of its own.
pub struct Engine {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Engine {
    pub fn start(answer: Answer) -> Engine {
        Engine::start_with(answer)
    }

    pub fn start_with(answer: impl Fn(&str, usize) -> Option<(u16, String)> + Copy + Send + 'static) -> Engine {
        let folder = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, log) = (stream.unwrap(), log.clone());
                std::thread::spawn(move || serve(stream, &log, answer));
            }
        });
        Engine { folder, asked }
    }

    pub fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("s").display())
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: UnixStream, log: &Mutex<Vec<String>>, answer: impl Fn(&str, usize) -> Option<(u16, String)>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    lines.find(|line| line.is_empty());
    let question = request.split(['?', ' ']).take(2).collect::<Vec<_>>().join(" ");
    let before = {
        let mut log = log.lock().unwrap();
        log.push(question.clone());
        log.iter().filter(|earlier| **earlier == question).count() - 1
    };
    let sent = match answer(&question, before) {
        Some((status, body)) => {
            write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        }
        None if question.ends_with("/events") => write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        None => Ok(()),
    };
    if sent.is_ok() {
        // Stays open until the agent goes away.
        lines.next();
    }
}
