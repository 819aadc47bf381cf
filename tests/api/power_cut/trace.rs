//! System calls of a server as strace writes them down: what it wrote where, what it synced, whom it answered.

use std::collections::HashMap;
use std::path::PathBuf;

/// In the sequence in which it happened.
#[derive(Debug)]
pub enum Event {
    Write {
        file: PathBuf,
        offset: usize,
        data: Vec<u8>,
    },
    Truncate {
        file: PathBuf,
        length: usize,
    },
    /// Synced at once: the database syncs the directory with it, and no acknowledgement comes in between.
    Remove {
        file: PathBuf,
    },
    /// What was written before this is on the disk when the sync with the same number ends.
    SyncBegins {
        sync: usize,
    },
    SyncEnds {
        file: PathBuf,
        sync: usize,
    },
    /// A client was told that this order was placed.
    Acknowledged {
        order: String,
    },
}

/// Whether the server has ended, and all of it is written down.
pub fn is_complete(trace: &str) -> bool {
    trace.lines().next_back().is_some_and(|line| line.contains("+++ exited") || line.contains("+++ killed"))
}

pub fn events(trace: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let mut syncing: HashMap<&str, (PathBuf, usize)> = HashMap::new();
    let mut syncs = 0;
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if call.starts_with("<... fsync resumed>") || call.starts_with("<... fdatasync resumed>") {
            let (file, sync) = syncing.remove(thread).expect("a call that goes on was begun");
            assert!(call.ends_with("= 0"), "a sync failed: {call}");
            events.push(Event::SyncEnds { file, sync });
            continue;
        }
        let Some((name, arguments)) = call.split_once('(') else { continue };
        match name {
            "fsync" | "fdatasync" => {
                let file = path_of(arguments);
                syncs += 1;
                events.push(Event::SyncBegins { sync: syncs });
                if call.ends_with("<unfinished ...>") {
                    syncing.insert(thread, (file, syncs));
                } else {
                    assert!(call.ends_with("= 0"), "a sync failed: {call}");
                    events.push(Event::SyncEnds { file, sync: syncs });
                }
            }
            "pwrite64" => {
                let data = bytes(quoted(arguments));
                let rest = arguments.rsplit_once('"').map_or("", |(_, rest)| rest);
                let offset = number(rest, 2);
                assert_eq!(data.len(), number(rest, 1), "strace left out some of {rest}");
                events.push(Event::Write { file: path_of(arguments), offset, data });
            }
            "ftruncate" => {
                events.push(Event::Truncate { file: path_of(arguments), length: number(arguments, 1) });
            }
            "unlink" => {
                let file = String::from_utf8(bytes(quoted(arguments))).expect("our paths are UTF-8").into();
                events.push(Event::Remove { file });
            }
            _ => events.extend(acknowledged(arguments).map(|order| Event::Acknowledged { order })),
        }
    }
    events
}

/// The `nth` of what commas separate.
fn number(arguments: &str, nth: usize) -> usize {
    let text = arguments.split(',').nth(nth).unwrap_or("").trim();
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number in {arguments}"))
}

fn path_of(arguments: &str) -> PathBuf {
    let path = arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(path, _)| path);
    if path.starts_with("\\x") { String::from_utf8_lossy(&bytes(path)).into_owned().into() } else { path.into() }
}

fn quoted(arguments: &str) -> &str {
    let inside = arguments.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"'));
    inside.map_or("", |(inside, _)| inside)
}

/// Of the form `\x0a\x0b`.
fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("strace writes hexadecimal digits") as u8;
    hex.as_bytes().chunks_exact(4).map(|four| digit(four[2]) << 4 | digit(four[3])).collect()
}

/// The order of a 201, if this was one.
fn acknowledged(arguments: &str) -> Option<String> {
    let sent = String::from_utf8(bytes(quoted(arguments).split('"').next()?)).ok()?;
    let head = sent.strip_prefix("HTTP/1.1 201")?.to_lowercase();
    let (_, order) = head.split_once("location: /v1/orders/")?;
    Some(order.lines().next()?.trim().to_owned())
}
