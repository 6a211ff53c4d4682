//! The certificate and the key by which the server proves its name, and their files, which may change.

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{self, Ticketer};
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

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

/// What came of a look at the files.
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
        self.current.lock().unwrap_or_else(PoisonError::into_inner).config.clone()
    }

    /// Reads the files again. Connections that are open keep what they have.
    ///
    /// # Errors
    /// A sentence that names the setting and the file. What was in use before stays.
    pub fn reload(&self) -> Result<Reloaded, String> {
        let content = self.files.read()?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if content == current.content {
            return Ok(Reloaded::Unchanged);
        }
        let config = self.files.config(&content)?;
        *current = Current { content, config };
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
            .map_err(|error| format!("tls_cert: {cert_file} is not PEM: {error}"))?;
        if chain.is_empty() {
            return Err(format!("tls_cert: {cert_file} has no certificate; expected -----BEGIN CERTIFICATE-----"));
        }
        let key = PrivateKeyDer::from_pem_slice(&content.key).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                format!("tls_key: {key_file} has no private key; expected -----BEGIN PRIVATE KEY-----")
            }
            error => format!("tls_key: {key_file} is not PEM: {error}"),
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

/// Reads a whole file.
fn read(setting: &str, file: &str) -> Result<Vec<u8>, String> {
    let content =
        fs::metadata(file).and_then(|found| if found.len() > FILE_BYTES { Ok(Vec::new()) } else { fs::read(file) });
    match content {
        Ok(content) if content.is_empty() => {
            Err(format!("{setting}: {file} is empty, or larger than {FILE_BYTES} bytes"))
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
}
