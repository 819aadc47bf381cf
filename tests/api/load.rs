//! `baedal load` and `baedal drill` as one uses them: against a server, for a few seconds, read by a program.

use std::process::Output;

use serde_json::Value;

use crate::helpers::{TestApp, baedal};

/// A load that a test can afford: few people, and no judgement of how late a busy machine is.
fn load(target: &str, more: &[&str]) -> Output {
    let few = "--customers 8 --stores 1 --store-riders 4 --riders 8 --warm-up 0s --late-at-most 60m";
    let mut command = baedal();
    command.args(["load", "--json", "--target", target]).args(few.split(' ')).args(more);
    command.output().expect("the program can be run")
}

fn report(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn a_load_lets_orders_live_and_finds_every_promise_kept() {
    let app = TestApp::start().await;
    let target = format!("http://{}", app.address());
    let ended = "--concurrency 4 --duration 3s --watchers 4 --mix cancellations=20%,rejections=20%,declined=10%";
    let output = load(&target, &ended.split(' ').collect::<Vec<_>>());
    let report = report(&output);
    assert_eq!(report["verdict"], "good", "{report:#}");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(report["loop"], "closed");
    let count = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}"));
    assert!(count("/orders/finished") > 0, "{report:#}");
    assert_eq!(count("/checked/listed"), count("/checked/wishes"), "nobody was refused");
    for broken in ["lost", "duplicated", "refused_yet_there", "set_back", "foreign", "unresolved"] {
        assert_eq!(count(&format!("/checked/{broken}")), 0, "{broken}");
    }
    assert!(count("/watchers/frames") > 0);
    assert_eq!((count("/watchers/gaps"), count("/watchers/repeats"), count("/watchers/missing")), (0, 0, 0));
}

#[tokio::test]
async fn an_open_loop_offers_what_it_was_told_to_with_tokens_of_its_own() {
    let app = TestApp::start().await;
    let (target, data) = (format!("http://{}", app.address()), app.data_dir());
    let data = data.to_str().expect("a path of a test is plain");
    let output = load(&target, &["--rate", "10", "--duration", "2s", "--seed", "3", "--data-dir", data]);
    let report = report(&output);
    assert_eq!((output.status.code(), &report["verdict"]), (Some(0), &"good".into()), "{report:#}");
    assert_eq!((&report["loop"], &report["orders"]["offered_per_s"]), (&"open".into(), &10.0.into()));
    assert!(report["watchers"].is_null());
}

#[tokio::test]
async fn a_run_in_which_nothing_happened_is_invalid_and_not_good() {
    let app = TestApp::start().await;
    let output = load(&format!("http://{}", app.address()), &["--rate", "0.001", "--duration", "1ms"]);
    assert_eq!(report(&output)["verdict"], "invalid");
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn a_server_that_is_killed_under_load_loses_nothing_and_charges_nobody_for_nothing() {
    let directory = tempfile::tempdir().expect("the system has room for a directory");
    let drill = baedal().args(["drill", "kill", "--quick", "--within"]).arg(directory.path()).output();
    let Output { status, stdout, stderr } = drill.expect("the program can be run");
    let said = String::from_utf8_lossy(&stdout);
    assert!(status.success(), "{said}{}", String::from_utf8_lossy(&stderr));
    assert!(said.contains("kill: killed twice"), "{said}");
    assert!(!said.contains("BROKEN"), "{said}");
}
