//! Where settings come from: defaults < file < environment < flags, the later one wins. Of the environment also
//! `DATABASE_URL`, which many platforms set, gives way to `BAEDAL__DATABASE__URL`.

use std::net::SocketAddr;
use std::path::PathBuf;

use ::config::{ConfigError, Environment, File, FileFormat, Map};

use super::{BadSetting, Config, LogFormat};

/// Settings that were given on the command line. What is not given leaves the other sources alone.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub listen: Option<SocketAddr>,
    pub data_dir: Option<PathBuf>,
    pub database: Option<String>,
    pub kafka: Option<String>,
    pub log_format: Option<LogFormat>,
}

/// Settings whose words may look like numbers, and must not be read as such: `007` is a password, `7` another one.
const LITERAL: [&str; 2] = ["kafka.sasl_username", "kafka.sasl_password"];

/// Why there are no settings to start with. One line, with the key or the file in it.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read the settings in {}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("a setting cannot be used")]
    Unusable(#[source] ConfigError),
    #[error("the settings do not go together")]
    Contradictory(#[source] BadSetting),
}

impl Config {
    /// Reads and checks the settings.
    pub fn load(file: Option<PathBuf>, flags: Flags) -> Result<Self, LoadError> {
        Self::from_sources(file, None, flags)
    }

    /// As [`Config::load`], with an environment of the caller's in place of the process's.
    fn from_sources(
        file: Option<PathBuf>,
        environment: Option<Map<String, String>>,
        flags: Flags,
    ) -> Result<Self, LoadError> {
        // The defaults are a source like the others, so that half a table in a file keeps its other half.
        let defaults = ::config::Config::try_from(&Config::default()).map_err(LoadError::Unusable)?;
        let mut sources = ::config::Config::builder().add_source(defaults);
        if let Some(path) = file {
            // Opened here first: the library's own message does not say why a file cannot be read.
            std::fs::File::open(&path).map_err(|source| LoadError::Unreadable { path: path.clone(), source })?;
            sources = sources.add_source(File::from(path).format(FileFormat::Toml));
        }
        let usual = match &environment {
            Some(environment) => environment.get("DATABASE_URL").cloned(),
            None => std::env::var("DATABASE_URL").ok(),
        };
        if let Some(url) = usual.filter(|url| !url.is_empty()) {
            let source =
                ::config::Config::builder().set_override("database.url", url).and_then(|source| source.build());
            sources = sources.add_source(source.map_err(LoadError::Unusable)?);
        }
        for key in LITERAL {
            let variable = format!("BAEDAL__{}", key.to_uppercase().replace('.', "__"));
            let given = match &environment {
                Some(environment) => environment.get(&variable).cloned(),
                None => std::env::var(variable).ok(),
            };
            sources = sources.set_override_option(key, given).map_err(LoadError::Unusable)?;
        }
        let environment = Environment::with_prefix("BAEDAL")
            .separator("__")
            .try_parsing(true)
            .list_separator(",")
            .with_list_parse_key("http.shared_addresses")
            .source(environment);
        let config: Config = sources
            .add_source(environment)
            .build()
            .and_then(::config::Config::try_deserialize)
            .map_err(LoadError::Unusable)?;
        let config = config.with(flags);
        config.check().map_err(LoadError::Contradictory)?;
        Ok(config)
    }

    fn with(mut self, flags: Flags) -> Self {
        if let Some(listen) = flags.listen {
            self.http.listen = listen;
        }
        if let Some(data_dir) = flags.data_dir {
            self.data_dir = data_dir;
        }
        if let Some(url) = flags.database {
            self.database.url = Some(super::DatabaseUrl(url));
        }
        if let Some(brokers) = flags.kafka {
            self.kafka.bootstrap_servers = Some(brokers);
        }
        if let Some(format) = flags.log_format {
            self.log.format = format;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn load(file: &str, environment: &[(&str, &str)], flags: Flags) -> Result<Config, String> {
        let mut written = tempfile::NamedTempFile::new().unwrap();
        written.write_all(file.as_bytes()).unwrap();
        let environment = environment.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Config::from_sources(Some(written.path().to_owned()), Some(environment), flags)
            .map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    }

    #[test]
    fn flags_win_over_the_environment_which_wins_over_the_file() {
        let file = "[http]\nlisten = '127.0.0.1:1'\nbody_limit_bytes = 1000\nkeep_alive_s = 9";
        let environment = [("BAEDAL__HTTP__LISTEN", "127.0.0.1:2"), ("BAEDAL__HTTP__BODY_LIMIT_BYTES", "2000")];
        let flags = Flags { listen: Some("127.0.0.1:3".parse().unwrap()), ..Flags::default() };
        let config = load(file, &environment, flags).unwrap();
        assert_eq!(config.http.listen.port(), 3);
        assert_eq!(config.http.body_limit_bytes, 2000);
        assert_eq!(config.http.keep_alive_s.0, 9);
        assert_eq!(config.http.workers, Config::default().http.workers);
    }

    #[test]
    fn the_address_that_platforms_set_gives_way_to_our_own() {
        let file = "[database]\nurl = 'postgres://file/x'";
        let (usual, own) = (("DATABASE_URL", "postgres://usual/x"), ("BAEDAL__DATABASE__URL", "postgres://own/x"));
        let url = |environment: &[(&str, &str)], flags| {
            load(file, environment, flags).unwrap().database.url.map(|url| url.as_str().to_owned())
        };
        assert_eq!(url(&[], Flags::default()).unwrap(), "postgres://file/x");
        assert_eq!(url(&[usual], Flags::default()).unwrap(), "postgres://usual/x");
        assert_eq!(url(&[usual, own], Flags::default()).unwrap(), "postgres://own/x");
        let flags = Flags { database: Some("postgres://flag/x".into()), ..Flags::default() };
        assert_eq!(url(&[usual, own], flags).unwrap(), "postgres://flag/x");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_wherever_it_comes_from() {
        let unknown = load("[http]\nlisen = '127.0.0.1:1'", &[], Flags::default()).unwrap_err();
        assert!(unknown.contains("lisen"), "{unknown}");
        let unknown = load("[kafka]\nbrokers = 'x'", &[], Flags::default()).unwrap_err();
        assert!(unknown.contains("brokers"), "{unknown}");
        let unknown = load("", &[("BAEDAL__HTTP__WORKER", "3")], Flags::default()).unwrap_err();
        assert!(unknown.contains("worker"), "{unknown}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_its_key() {
        let wrong = load("[http]\nworkers = 'many'", &[], Flags::default()).unwrap_err();
        assert!(wrong.contains("http.workers"), "{wrong}");
        let wrong = load("", &[("BAEDAL__HTTP__LISTEN", "nowhere")], Flags::default()).unwrap_err();
        assert!(wrong.contains("http.listen"), "{wrong}");
    }

    #[test]
    fn a_half_given_mailbox_keeps_the_other_half() {
        let config = load("[mailboxes.order]\ncapacity = 4", &[], Flags::default()).unwrap();
        assert_eq!(config.mailboxes.order.capacity, 4);
        assert_eq!(config.mailboxes.order.reply_timeout_ms, Config::default().mailboxes.order.reply_timeout_ms);
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same_settings() {
        let config = Config { data_dir: "/tmp/a \"quoted\" place".into(), ..Config::default() };
        assert_eq!(load(&config.to_toml(), &[], Flags::default()).unwrap(), config);
    }

    #[test]
    fn a_password_of_digits_stays_as_it_was_typed() {
        let config = load("", &[("BAEDAL__KAFKA__SASL_PASSWORD", "007")], Flags::default()).unwrap();
        assert_eq!(config.kafka.sasl_password.map(|secret| secret.reveal().to_owned()).as_deref(), Some("007"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let missing = Config::from_sources(Some("/no/such/file.toml".into()), Some(Map::new()), Flags::default());
        assert!(missing.unwrap_err().to_string().contains("/no/such/file.toml"));
    }
}
