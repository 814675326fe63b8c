//! A door for fuzz targets: everything that reads what an engine answers.

use std::collections::HashMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::answer::{Event, Image, Version};
use super::directory::{Directory, Shelf};
use super::engine::{Address, Product};
use super::envelope::Envelopes;
use super::holdings::{self, Holdings};
use super::proto::{field, items};
use super::{containerd, cri, docker};

/// Puts into `directory` what `engine` answers to the questions beside.
pub(crate) fn tell(directory: &Directory, engine: &str, answers: &[(&str, &[u8])]) {
    let Some(product) = Product::ALL.into_iter().find(|product| product.word() == engine) else { return };
    let shelf = directory.shelf(product, "unix:///run/engine.sock".to_owned());
    shelf.note(|engine| engine.up = true);
    match product {
        Product::Docker | Product::Podman => tell_docker(&shelf, answers),
        Product::Containerd => tell_containerd(&shelf, &opened(answers)),
        Product::Crio => tell_cri(&shelf, &opened(answers)),
    }
}

/// The answers; of one to a question that begins with `sealed` the messages in it, as they come through the socket.
fn opened<'a>(answers: &[(&'a str, &[u8])]) -> Vec<(&'a str, Bytes)> {
    let open = |(question, answer): &(&'a str, &[u8])| match question.strip_prefix("sealed ") {
        None => vec![(*question, Bytes::copy_from_slice(answer))],
        Some(question) => {
            let messages = messages(answer, answer.len().max(1));
            assert_eq!(messages, self::messages(answer, 3), "in pieces they are the same");
            messages.into_iter().map(|message| (question, message)).collect()
        }
    };
    answers.iter().flat_map(open).collect()
}

/// The messages that `bytes` bring in pieces of this size.
fn messages(bytes: &[u8], piece: usize) -> Vec<Bytes> {
    let (mut envelopes, mut messages) = (Envelopes::default(), Vec::new());
    for bytes in bytes.chunks(piece) {
        envelopes.push(bytes);
        while let Ok(Some(message)) = envelopes.take() {
            messages.push(message);
        }
    }
    messages
}

/// Reads what can be read.
fn json<T: DeserializeOwned>(answer: &[u8], read: impl FnOnce(T)) {
    if let Ok(answer) = serde_json::from_slice(answer) {
        read(answer);
    }
}

fn tell_docker(shelf: &Shelf, answers: &[(&str, &[u8])]) {
    let address = Address::Unix("/run/engine.sock".into());
    let (mut held, mut heard) = (Holdings::default(), docker::Heard::default());
    let mut engine = docker::Watched::new(&address, shelf, true, &mut heard);
    for (question, answer) in answers {
        match question.split('/').collect::<Vec<_>>()[..] {
            ["", "version"] => {
                json(answer, |version: Version| shelf.note(|engine| engine.version.clone_from(&version.version)));
            }
            ["", "containers", "json"] => json(answer, |listed| drop(engine.choose(listed, true))),
            ["", "containers", id, "json"] if !id.is_empty() => {
                json(answer, |answer| shelf.put(engine.describe(id.to_owned(), answer)));
            }
            ["", "containers", id, "stats"] => json(answer, |figures| shelf.streams().put(id, figures)),
            ["", "events"] => {
                for line in answer.split(|&byte| byte == b'\n') {
                    json(line, |event: Event| engine.follow(event));
                }
            }
            ["", "images", _, "json"] => json(answer, drop::<Image>),
            ["", "images", "json"] => json(answer, |images| held.images = holdings::images(images)),
            ["", "volumes"] => json(answer, |volumes| held.volumes = holdings::volumes(volumes, true)),
            ["", "services"] => json(answer, |services| held.services = holdings::services(services)),
            ["", "info"] => json(answer, |info| held.node = holdings::node(info)),
            _ => {}
        }
    }
    shelf.hold(held);
}

fn tell_containerd(shelf: &Shelf, answers: &[(&str, Bytes)]) {
    let mut tasks = HashMap::new();
    for (question, answer) in answers {
        let _ = match *question {
            "tasks" => items(answer, |process| {
                let task = containerd::Task::read(process)?;
                tasks.insert(task.container.clone(), task);
                Ok(())
            }),
            "containers" => items(answer, |message| {
                shelf.put(containerd::container(message, &tasks, true)?.1);
                Ok(())
            }),
            "event" => containerd::Event::read(answer).map(drop),
            _ => Ok(()),
        };
    }
}

fn tell_cri(shelf: &Shelf, answers: &[(&str, Bytes)]) {
    let (mut pods, mut containers) = (HashMap::new(), Vec::new());
    for (question, answer) in answers {
        let _ = match *question {
            "pods" => items(answer, |sandbox| {
                let (name, pod) = cri::pod(sandbox)?;
                pods.insert(pod.id.clone(), name);
                shelf.put(pod);
                Ok(())
            }),
            "containers" => items(answer, |listed| {
                containers.push(cri::container(listed, &pods)?);
                Ok(())
            }),
            "status" => containers.iter_mut().try_for_each(|container| {
                let status = field(answer, 1)?.map_or(&[][..], |value| value.bytes());
                cri::status(container, status)
            }),
            _ => Ok(()),
        };
    }
    containers.into_iter().for_each(|container| shelf.put(container));
}
