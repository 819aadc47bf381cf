//! The Ed25519 key that signs our tokens, kept in the data directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// PKCS#8 in DER, as `openssl pkey -inform DER` reads it.
const FILE_NAME: &str = "issuer-key.der";

/// A key pair that signs tokens, and the name by which a token says which key signed it.
pub struct SigningKey {
    pkcs8: Vec<u8>,
    public: [u8; 32],
    kid: String,
}

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot make the data directory {}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot read the token key {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("there is no token key at {}: the server makes one at its first start", path.display())]
    Missing { path: PathBuf },
    #[error("cannot write the token key {}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    /// Never replaced by a new key: that would end every token in use, and hide a damaged disk.
    #[error("{} is no Ed25519 key in PKCS#8", path.display())]
    Damaged { path: PathBuf },
    #[error("the system gives no random bytes")]
    NoRandomness,
}

impl SigningKey {
    /// Reads the key in `data_dir`, and makes one when there is none.
    ///
    /// The key appears whole or not at all: a crash leaves at most a stray temporary file. Of two processes that
    /// start at once, one writes and both use what it wrote.
    pub fn open(data_dir: &Path) -> Result<Self, KeyError> {
        std::fs::create_dir_all(data_dir)
            .map_err(|source| KeyError::Directory { path: data_dir.to_owned(), source })?;
        match Self::read(data_dir) {
            Err(KeyError::Missing { path }) => {
                let made = Self::generate()?;
                match write_once(data_dir, &path, &made.pkcs8) {
                    Ok(true) => Ok(made),
                    Ok(false) => Self::read(data_dir),
                    Err(source) => Err(KeyError::Unwritable { path, source }),
                }
            }
            read => read,
        }
    }

    /// Reads the key in `data_dir`, for those who must not make one: a token signed with a new key in the wrong
    /// directory would look good and open nothing.
    pub fn read(data_dir: &Path) -> Result<Self, KeyError> {
        let path = data_dir.join(FILE_NAME);
        match std::fs::read(&path) {
            Ok(pkcs8) => Self::from_pkcs8(pkcs8).ok_or(KeyError::Damaged { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(KeyError::Missing { path }),
            Err(source) => Err(KeyError::Unreadable { path, source }),
        }
    }

    /// A key that is in no file.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NoRandomness)?;
        let pkcs8 = pair.to_pkcs8().map_err(|_| KeyError::NoRandomness)?;
        Ok(Self::from_pkcs8(pkcs8.as_ref().to_vec()).expect("a key that was just made is one"))
    }

    fn from_pkcs8(pkcs8: Vec<u8>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).ok()?;
        let public: [u8; 32] = pair.public_key().as_ref().try_into().ok()?;
        Some(Self { pkcs8, public, kid: thumbprint(&public) })
    }

    /// The name of the key: its thumbprint (RFC 7638), so that the same key has the same name everywhere.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn encoding(&self) -> EncodingKey {
        EncodingKey::from_ed_der(&self.pkcs8)
    }

    pub(super) fn decoding(&self) -> DecodingKey {
        DecodingKey::from_ed_der(&self.public)
    }

    /// A secret for another purpose, from which nothing of this key can be told.
    pub(super) fn derived(&self, purpose: &str) -> [u8; 32] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.pkcs8), purpose.as_bytes());
        tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// The public half, as `/.well-known/jwks.json` publishes it (RFC 8037).
    pub fn jwks(&self) -> serde_json::Value {
        let x = URL_SAFE_NO_PAD.encode(self.public);
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid, "x": x}]})
    }
}

/// SHA-256 over the members that RFC 7638 asks for, in its order and without spaces.
fn thumbprint(public: &[u8; 32]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public);
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

/// Writes the file unless it is there. `false`: another process was first.
///
/// A hard link, because unlike a rename it fails when the name is taken, and unlike an exclusive create it never
/// shows half a file.
fn write_once(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let temporary = directory.join(format!("{FILE_NAME}.{}", std::process::id()));
    let outcome = write_for_owner(&temporary, bytes).and_then(|()| match std::fs::hard_link(&temporary, path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    });
    std::fs::remove_file(&temporary).ok();
    // The name is part of the directory, which has to reach the disk as the bytes did.
    File::open(directory)?.sync_all()?;
    outcome
}

fn write_for_owner(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_outlives_the_process_and_only_its_owner_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("not/yet/there");
        let first = SigningKey::open(&data_dir).unwrap();
        let second = SigningKey::open(&data_dir).unwrap();
        assert_eq!(first.kid(), second.kid());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(data_dir.join(FILE_NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(&data_dir).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn of_two_processes_that_start_at_once_one_makes_the_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        let made = SigningKey::generate().unwrap();
        assert!(write_once(directory.path(), &path, &made.pkcs8).unwrap());
        let late = SigningKey::generate().unwrap();
        assert!(!write_once(directory.path(), &path, &late.pkcs8).unwrap());
        assert_eq!(SigningKey::open(directory.path()).unwrap().kid(), made.kid());
    }

    #[test]
    fn a_damaged_key_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE_NAME), b"half a k").unwrap();
        assert!(matches!(SigningKey::open(directory.path()), Err(KeyError::Damaged { .. })));
        assert_eq!(std::fs::read(directory.path().join(FILE_NAME)).unwrap(), b"half a k");
    }

    #[test]
    fn the_published_key_is_the_public_half_alone() {
        let key = SigningKey::generate().unwrap();
        let published = &key.jwks()["keys"][0];
        assert_eq!(published["kid"], key.kid());
        assert_eq!(published["x"], URL_SAFE_NO_PAD.encode(key.public));
        assert!(published.get("d").is_none());
    }

    #[test]
    fn the_name_of_a_key_is_its_thumbprint() {
        // RFC 8037, appendix A.3.
        let public = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let public: [u8; 32] = public.try_into().unwrap();
        assert_eq!(thumbprint(&public), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
