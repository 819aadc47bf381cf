//! Why a server does not start: always one clear line, and nothing was touched.

use std::process::Output;

use crate::helpers::{Engine, TestApp, baedal, engine};

fn fails_with_one_line(output: Output) -> String {
    assert!(!output.status.success(), "it should not have started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("baedal: ")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    lines[0].to_owned()
}

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused_in_one_clear_line() {
    let app = TestApp::start().await;
    let (refused, reason) = match engine() {
        Engine::Sqlite => (vec![&["verify"][..], &["serve", "--listen", "127.0.0.1:0"]], "another"),
        // A second server would take the database over: tests/postgres has that.
        Engine::Postgres => (vec![&["verify"][..]], "a server runs on"),
    };
    for command in refused {
        let line = fails_with_one_line(app.baedal(command).output().unwrap());
        assert!(line.contains(reason), "{line}");
    }
    app.open("/readyz").await.ok();
    app.store("retail").await;
}

#[tokio::test]
async fn migrating_leaves_everything_as_it_is() {
    let mut app = TestApp::start().await;
    app.store("retail").await;
    app.stop();
    for _ in 0..2 {
        let migrated = app.baedal(&["migrate"]).output().unwrap();
        let said = String::from_utf8_lossy(&migrated.stdout).into_owned();
        assert!(migrated.status.success() && said.contains("is up to date"), "{said}");
    }
    app.start_again();
    assert_eq!(app.open("/v1/stores?near=37.5663,126.9779&radius_m=50").await.items().len(), 1);
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_in_one_clear_line() {
    let app = TestApp::start().await;
    let address = app.address().to_string();
    let other_data = app.directory().join("other");
    let second = baedal().args(["serve", "--listen", &address, "--data-dir"]).arg(&other_data).output().unwrap();
    let line = fails_with_one_line(second);
    assert!(line.contains(&address), "{line}");
    assert!(!other_data.join("issuer-key.der").exists(), "the address comes first: nothing was made");
}

#[tokio::test]
async fn settings_that_cannot_be_are_said_in_one_clear_line() {
    let directory = tempfile::tempdir().unwrap();
    for (variable, value, named) in [
        ("BAEDAL__HTTP__LISEN", "127.0.0.1:0", "lisen"),
        ("BAEDAL__HTTP__WORKERS", "many", "workers"),
        ("BAEDAL__HTTP__REQUEST_TIMEOUT_MS", "10", "http.request_timeout_ms"),
        ("BAEDAL__MAILBOXES__ORDER__CAPACITY", "0", "mailboxes.order.capacity"),
        ("BAEDAL__DATABASE__URL", "mysql://db/orders", "database"),
    ] {
        let data_dir = directory.path().join("data");
        let mut server = baedal();
        server.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data_dir).env(variable, value);
        let line = fails_with_one_line(server.output().unwrap());
        assert!(line.contains(named), "{named} is not named: {line}");
        assert!(!data_dir.join("issuer-key.der").exists(), "{variable}: nothing was made");
    }
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_is_said_in_one_clear_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a-file");
    std::fs::write(&file, "not a directory").unwrap();
    let server = baedal().args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&file).output().unwrap();
    let line = fails_with_one_line(server);
    assert!(line.contains(&file.display().to_string()), "{line}");
}

#[tokio::test]
async fn a_token_key_that_is_damaged_is_never_replaced() {
    let mut app = TestApp::start().await;
    app.stop();
    let key = app.data_dir().join("issuer-key.der");
    std::fs::write(&key, "damaged").unwrap();
    let server =
        baedal().args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(app.data_dir()).output().unwrap();
    let line = fails_with_one_line(server);
    assert!(line.contains("issuer-key.der"), "{line}");
    assert_eq!(std::fs::read(&key).unwrap(), b"damaged");
}

#[tokio::test]
async fn the_settings_in_effect_are_shown_and_checked() {
    let shown = baedal().args(["config", "show"]).env("BAEDAL__HTTP__WORKERS", "3").output().unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains("workers = 3"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("settings.toml");
    std::fs::write(&file, &shown.stdout).unwrap();
    let checked = baedal().args(["config", "check", "--config"]).arg(&file).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
