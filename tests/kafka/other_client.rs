//! What a client sees that is not librdkafka, and so cannot share a mistake with the mirror: `kafka-python`, which speaks
//! the protocol by itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::broker;
use crate::helpers::Life;
use crate::mirror::{everything_is_mirrored, mirroring_to};
use crate::topic::{Record, Topic};

/// lz4, because that is how the mirror packs its batches, and Python does not bring it.
const PACKAGES: [&str; 2] = ["kafka-python==3.0.12", "lz4==4.4.5"];

#[tokio::test]
async fn another_client_reads_the_same_messages_in_the_same_partitions() {
    let Some(broker) = broker::shared() else { return };
    let topic = Topic::fresh(broker);
    let app = mirroring_to(&topic).start().await;
    let life = Life::at(&app, "food_delivery").await;
    let mut orders = Vec::new();
    for _ in 0..12 {
        orders.push(life.order_in(&app, "cancelled").await);
    }
    orders.push(life.order_in(&app, "completed").await);
    let mirrored = everything_is_mirrored(&app, &topic, &orders).await;
    assert_eq!(dump(&topic), mirrored.records);
}

fn dump(topic: &Topic) -> Vec<Record> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/dump.py");
    let said = run(Command::new(python()).arg(script).args([topic.broker(), &topic.name]));
    let mut records: Vec<Record> =
        said.lines().map(|line| serde_json::from_str(line).expect("a line is a message")).collect();
    records.sort();
    records
}

/// A Python with the packages, beside the build. Made once, and taken as whole only when the last step is done.
fn python() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kafka-python");
    let whole = place.join("whole");
    let wanted = PACKAGES.join(" ");
    if std::fs::read_to_string(&whole).is_ok_and(|made| made == wanted) {
        return place.join("bin/python");
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place));
    run(Command::new(place.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES));
    std::fs::write(whole, wanted).expect("the target directory can be written");
    place.join("bin/python")
}

fn run(command: &mut Command) -> String {
    let said = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    assert!(said.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).expect("it prints text")
}
