//! The certificate and the key by which the server proves its name, and their files, which may change.

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The certificate chain and the key of the server.
#[derive(Debug)]
pub struct ServerCertificate {
    files: Files,
    current: Mutex<Current>,
}

/// The files that hold them, in PEM.
#[derive(Debug)]
struct Files {
    cert: String,
    key: String,
    /// Encrypts what clients need to resume a session. It stays when the files change.
    ticketer: Arc<dyn ProducesTickets>,
}

/// The content of both files.
#[derive(PartialEq, Eq)]
struct Content {
    cert: Vec<u8>,
    key: Vec<u8>,
}

/// The certificate in use.
struct Current {
    content: Content,
    config: Arc<ServerConfig>,
}

/// The result of reading the files again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// They are the same as before.
    Unchanged,
    /// New handshakes use what they hold.
    Replaced,
}

/// The most bytes of each file: a chain of a dozen certificates.
const FILE_BYTES: u64 = 64 << 10;

impl ServerCertificate {
    /// Reads the chain from the file `cert`, the server's own certificate first, and its key from the file `key`.
    ///
    /// # Errors
    /// A sentence that names the setting and the file.
    pub fn load(cert: &str, key: &str) -> Result<Self, String> {
        let ticketer = Ticketer::new().map_err(|error| format!("cannot use TLS: {error}"))?;
        let files = Files { cert: cert.into(), key: key.into(), ticketer };
        let content = files.read()?;
        let config = files.config(&content)?;
        Ok(Self { files, current: Mutex::new(Current { content, config }) })
    }

    /// The configuration for a new handshake.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.current().config.clone()
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files again. Connections that are open keep what they have.
    ///
    /// # Errors
    /// A sentence that names the setting and the file. What was in use before stays.
    pub fn reload(&self) -> Result<Reloaded, String> {
        let content = self.files.read()?;
        if content == self.current().content {
            return Ok(Reloaded::Unchanged);
        }
        // Not under the lock, which each new connection takes.
        let config = self.files.config(&content)?;
        *self.current() = Current { content, config };
        Ok(Reloaded::Replaced)
    }
}

impl Files {
    fn read(&self) -> Result<Content, String> {
        Ok(Content { cert: read("tls_cert", &self.cert)?, key: read("tls_key", &self.key)? })
    }

    fn config(&self, content: &Content) -> Result<Arc<ServerConfig>, String> {
        let Self { cert: cert_file, key: key_file, .. } = self;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&content.cert)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("tls_cert: {cert_file} is not PEM: {}", pem_problem(&error)))?;
        if chain.is_empty() {
            return Err(format!("tls_cert: {cert_file} has no certificate; expected -----BEGIN CERTIFICATE-----"));
        }
        let key = PrivateKeyDer::from_pem_slice(&content.key).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                format!("tls_key: {key_file} has no private key; expected -----BEGIN PRIVATE KEY-----")
            }
            error => format!("tls_key: {key_file} is not PEM: {}", pem_problem(&error)),
        })?;
        let unusable = |error| match error {
            rustls::Error::InconsistentKeys(_) => {
                format!("tls_key: the key in {key_file} is not that of the certificate in {cert_file} (tls_cert)")
            }
            error => format!("tls_cert, tls_key: {cert_file} and {key_file} cannot be used: {error}"),
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Resumption without state: after a restart or a lost network all clients come back at once.
        config.ticketer = self.ticketer.clone();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }
}

/// Names the mistake in a PEM file, and quotes nothing of it: the library's own words quote lines, and a key may be on one.
fn pem_problem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::IllegalSectionStart { .. } | pem::Error::MissingSectionEnd { .. } => {
            "-----BEGIN …-----, the data and -----END …----- need lines of their own"
        }
        pem::Error::Base64Decode(_) => "the data between -----BEGIN …----- and -----END …----- is not base64",
        _ => "expected -----BEGIN …-----, lines of base64, and -----END …-----",
    }
}

/// Reads a whole file, which must be a regular one: others may never end, or never begin.
fn read(setting: &str, file: &str) -> Result<Vec<u8>, String> {
    let content = fs::metadata(file).and_then(|found| {
        let mut content = Vec::new();
        if found.is_file() {
            File::open(file)?.take(FILE_BYTES + 1).read_to_end(&mut content)?;
        }
        Ok(content)
    });
    match content {
        Ok(content) if content.is_empty() => Err(format!("{setting}: {file} is empty, or no regular file")),
        Ok(content) if content.len() as u64 > FILE_BYTES => {
            Err(format!("{setting}: {file} is larger than {FILE_BYTES} bytes"))
        }
        Ok(content) => Ok(content),
        Err(error) => Err(format!("{setting}: cannot read {file}: {error}")),
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    #[test]
    fn a_certificate_is_renewed_with_the_same_key() {
        let folder = std::env::temp_dir().join(format!("parlor-certificate-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name).to_str().unwrap().to_owned());
        let pair = KeyPair::generate().unwrap();
        let issue = || {
            let params = CertificateParams::new(["localhost".into()]).unwrap();
            fs::write(&cert, params.self_signed(&pair).unwrap().pem()).unwrap();
        };
        issue();
        fs::write(&key, pair.serialize_pem()).unwrap();
        let certificate = ServerCertificate::load(&cert, &key).unwrap();
        let before = certificate.config();
        assert_eq!(certificate.reload(), Ok(Reloaded::Unchanged));
        assert!(Arc::ptr_eq(&before, &certificate.config()));
        issue();
        assert_eq!(certificate.reload(), Ok(Reloaded::Replaced));
        assert!(!Arc::ptr_eq(&before, &certificate.config()));
        // Half a file, and one that is too large: what was there before stays.
        let renewed = certificate.config();
        for text in ["-----BEGIN CERTIFICATE-----\n".into(), String::new(), "x".repeat(65 << 10)] {
            fs::write(&cert, text).unwrap();
            let wrong = certificate.reload().unwrap_err();
            assert!(wrong.contains("tls_cert") && wrong.contains("cert.pem"), "{wrong}");
            assert!(Arc::ptr_eq(&renewed, &certificate.config()));
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_error_shows_nothing_of_a_key() {
        let folder = std::env::temp_dir().join(format!("parlor-certificate-words-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("both.pem").to_str().unwrap().to_owned();
        let pair = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(["localhost".into()]).unwrap().self_signed(&pair).unwrap();
        let good = folder.join("cert.pem").to_str().unwrap().to_owned();
        fs::write(&good, cert.pem()).unwrap();
        let key = pair.serialize_pem();
        for text in
            [key.replace('\n', "\\n"), key.replace('\n', "\\n").trim_end_matches("\\n").into(), key.replace('\n', " ")]
        {
            fs::write(&file, text).unwrap();
            for wrong in [ServerCertificate::load(&good, &file), ServerCertificate::load(&file, &file)] {
                let wrong = wrong.unwrap_err();
                assert!(!wrong.contains("MIG") && !wrong.contains("77, 73, 71"), "{wrong}");
                assert!(wrong.contains("both.pem") && wrong.contains("tls_"), "{wrong}");
            }
        }
        let wrong = ServerCertificate::load(&good, "/dev/zero").unwrap_err();
        assert!(wrong.contains("no regular file"), "{wrong}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
