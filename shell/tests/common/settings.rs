//! Settings as a person gives them: flags, variables and a file.

use parlor::config::Settings;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

/// The settings by these flags and variables.
pub fn load(flags: &[&str], environment: &[(&str, &str)]) -> Result<Settings, String> {
    let flags = ["parlor"].iter().chain(flags).map(OsString::from);
    let environment = environment.iter().map(|(name, text)| (OsString::from(name), OsString::from(text)));
    Settings::load(flags, environment)
}

/// A configuration file that lives as long as its test.
pub struct File(PathBuf);

impl File {
    pub fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("parlor-{}-{name}.toml", std::process::id()));
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The error about a file with this text.
pub fn wrong(name: &str, text: &str) -> String {
    let file = File::new(name, text);
    load(&["--config", file.path()], &[]).unwrap_err()
}
