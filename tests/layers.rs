//! Reads `src/` and refuses what must not be there: an import across the layers, a file that has grown too long, a
//! panic waiting to happen. The picture of the layers is in the README; this keeps it true.
//!
//! Only code that ships is looked at: tests may use whatever they need.

use std::fs;
use std::path::{Path, PathBuf};

/// What the files under a path may not contain, and why.
struct Ban {
    under: &'static str,
    except: &'static [&'static str],
    words: &'static [&'static str],
    because: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        under: "order/",
        except: &[],
        words: &["actix", "sqlx", "tokio", "rdkafka", "reqwest", "tracing", "metrics"],
        because: "what may happen to an order is pure",
    },
    Ban {
        under: "order/",
        except: &[],
        words: &["SystemTime", "Instant", "fastrand", "Uuid::now_v7", "std::fs", "std::env", "std::net", "std::thread"],
        because: "time, chance and the world are handed in",
    },
    Ban {
        under: "order/",
        except: &[],
        words: &["crate::access", "crate::actors", "crate::config", "crate::http", "crate::providers", "crate::store"],
        because: "nothing is below order",
    },
    Ban {
        under: "store/",
        except: &[],
        words: &["actix", "reqwest", "crate::actors", "crate::access", "crate::http", "crate::providers"],
        because: "the journal serves actors and HTTP, and knows neither",
    },
    Ban {
        under: "providers/",
        except: &[],
        words: &["actix", "sqlx", "crate::actors", "crate::access", "crate::http", "crate::store"],
        because: "an adapter knows the outside and the order, nothing between",
    },
    Ban {
        under: "access/",
        except: &[],
        words: &["actix", "sqlx", "crate::actors", "crate::http", "crate::store"],
        because: "a token is checked the same wherever it comes from",
    },
    Ban {
        under: "actors/",
        except: &[],
        words: &["actix_web", "actix_ws", "crate::http", "crate::access"],
        because: "actors do not know who asks them, nor over what",
    },
    Ban {
        under: "http/",
        except: &[],
        words: &["store::Writer", "NewEvent"],
        because: "HTTP parses, asks and renders: it writes no event",
    },
    Ban {
        under: "demo/",
        except: &[],
        words: &["actix", "sqlx", "crate::actors", "crate::app", "crate::config", "crate::http", "crate::store"],
        because: "the people of the demonstration come in through the public interface like anyone else",
    },
    Ban {
        under: "load/",
        except: &[],
        words: &["actix", "sqlx", "crate::actors", "crate::app", "crate::config", "crate::http", "crate::store"],
        because: "the load reads the contract as a client would, and believes nothing of the server's own code",
    },
    Ban {
        under: "drill/",
        except: &[],
        words: &["actix", "sqlx", "crate::actors", "crate::app", "crate::config", "crate::http", "crate::store"],
        because: "a drill breaks and mends through the public interface and signals",
    },
    Ban { under: "", except: &["store/"], words: &["sqlx"], because: "only store knows sqlx" },
    Ban {
        under: "",
        // Wiring starts the runtime; that is all it may do with it.
        except: &["http/", "app.rs", "maintenance.rs"],
        words: &["actix_web", "actix_ws"],
        because: "only http knows actix-web",
    },
    Ban { under: "", except: &["actors/kafka_bridge/"], words: &["rdkafka"], because: "one actor mirrors events" },
    Ban {
        under: "",
        // The feed's queues are tokio's, and bounded: a full one is how it notices a slow reader.
        except: &["actors/mailbox.rs", "actors/feed/"],
        words: &["do_send", "try_send", "set_mailbox_capacity", "from_registry", "SystemService", "SyncArbiter"],
        because: "actors are reached through actors/mailbox.rs alone",
    },
    Ban {
        under: "",
        except: &[],
        words: &[".unwrap()", "Box<dyn Error", "Box<dyn std::error::Error", "todo!", "unimplemented!"],
        because: "an error has a name and someone who handles it",
    },
    Ban {
        under: "",
        except: &[],
        words: &["println!", "print!("],
        because: "they panic when nobody reads any more: what is said goes through telemetry",
    },
    Ban {
        under: "",
        except: &[],
        words: &["use crate::{"],
        because: "an import names its folder, so that these bans can see it",
    },
];

/// Split a file before it gets there; tests in it count.
const LONGEST_FILE: usize = 400;

#[test]
fn no_layer_reaches_for_what_it_may_not_use() {
    let broken: Vec<String> =
        shipped().iter().flat_map(|file| BANS.iter().flat_map(|ban| ban.broken_by(file))).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn no_file_is_longer_than_one_can_keep_in_mind() {
    let long: Vec<String> = sources()
        .iter()
        .map(|file| (file, read(file).lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .map(|(file, lines)| format!("{} has {lines} lines", file.display()))
        .collect();
    assert!(long.is_empty(), "split before {LONGEST_FILE} lines:\n{}\n", long.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<PathBuf> = sources().into_iter().filter(|file| !read(file).starts_with("//!")).collect();
    assert!(silent.is_empty(), "these begin without a `//!`: {silent:?}");
}

#[test]
fn bans_find_what_they_are_for() {
    let order = |code: &str| Shipped { name: "order/cancel.rs".into(), code: code.into() };
    let found = |file: &Shipped| BANS.iter().map(|ban| ban.broken_by(file).len()).sum::<usize>();
    assert_eq!(found(&order("use tokio::time::sleep;")), 1);
    assert_eq!(found(&order("let now = std::time::SystemTime::now();")), 1);
    assert_eq!(found(&order("order.lines.first().unwrap()")), 1);
    assert_eq!(found(&order("//! Unlike tokio, this has no clock.\nstruct Instantly;")), 0);
    assert_eq!(shipped_part("fn a() {}\n#[cfg(test)]\nmod tests {\n    x.unwrap();\n}\n"), "fn a() {}\n");
}

/// The part of a file that ships.
struct Shipped {
    /// Below `src/`.
    name: String,
    code: String,
}

impl Ban {
    fn broken_by(&self, file: &Shipped) -> Vec<String> {
        if !file.name.starts_with(self.under) || self.except.iter().any(|except| file.name.starts_with(except)) {
            return Vec::new();
        }
        let lines = file.code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        lines
            .filter_map(|(at, line)| self.words.iter().find(|word| contains(line, word)).map(|word| (at, word)))
            .map(|(at, word)| format!("src/{}:{}: `{word}`, but {}", file.name, at + 1, self.because))
            .collect()
    }
}

/// As a word of its own: `Instant` is not in `Instantly`, `tokio` is not in `tokio_tungstenite`.
fn contains(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let begins = !word.starts_with(part_of_name) || !before.is_some_and(part_of_name);
        let ends = !word.ends_with(part_of_name) || !after.is_some_and(part_of_name);
        begins && ends
    })
}

fn shipped() -> Vec<Shipped> {
    let sources = sources();
    let tests: Vec<PathBuf> = sources.iter().flat_map(|file| modules_for_tests(file)).collect();
    let root = root();
    sources
        .iter()
        .filter(|file| !tests.iter().any(|test| file.starts_with(test)))
        .map(|file| Shipped {
            name: file.strip_prefix(&root).expect("it was found there").display().to_string(),
            code: shipped_part(&read(file)),
        })
        .collect()
}

/// Everything before the tests, which come last in a file.
fn shipped_part(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].to_owned()
}

/// The files and folders of the modules that `file` declares for tests only.
fn modules_for_tests(file: &Path) -> Vec<PathBuf> {
    let text = read(file);
    let folder = file.parent().expect("it is in a folder");
    let mut found = Vec::new();
    for declared in text.split("#[cfg(test)]\n").skip(1) {
        let mut lines = declared.lines().map(str::trim);
        let Some(first) = lines.next() else { continue };
        if let Some(path) = first.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]")) {
            found.push(folder.join(path));
        } else if let Some(name) = first.trim_start_matches("pub(crate) ").strip_prefix("mod ") {
            let name = name.trim_end_matches(';');
            found.extend([folder.join(name), folder.join(format!("{name}.rs"))]);
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<PathBuf> {
    let mut folders = vec![root()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of ours can be read") {
            let path = entry.expect("a folder of ours can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(files.len() > 50, "the sources were not found");
    files
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).expect("a source of ours is UTF-8")
}
