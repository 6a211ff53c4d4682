//! The settings of the process, as they are read at the start and again while it serves.

use crate::config::{Invocation, Listen, ListenerKind, Settings};
use crate::net::handed_sockets::HandedSockets;
use clap::Command;
use std::ffi::OsString;
use std::fs;

/// The bytes of the file of settings that is read again, at most.
const FILE_BYTES: u64 = 1 << 20;

/// The command line and the environment that the process was started with. The files that they name may change.
pub(super) struct SettingsSource {
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    /// The commands beside those about settings, which `--help` lists.
    others: Vec<Command>,
}

impl SettingsSource {
    pub(super) fn new(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        others: Vec<Command>,
    ) -> Self {
        let (arguments, environment) = (arguments.into_iter().collect(), environment.into_iter().collect());
        Self { arguments, environment, others }
    }

    /// Reads them.
    ///
    /// # Errors
    /// As [`Invocation::load`].
    pub(super) fn load(&self) -> Result<Invocation, String> {
        Invocation::load(self.arguments.clone(), self.environment.clone(), self.others.clone())
    }

    /// Reads them again for a server, which goes on listening on what a service manager has handed over.
    ///
    /// # Errors
    /// A sentence that says what is wrong, and what is allowed.
    pub(super) fn load_again(&self, started: &StartedWith) -> Result<Settings, String> {
        started.file.as_deref().map_or(Ok(()), check_file)?;
        let Invocation::Serve(mut settings) = self.load()? else {
            return Err("the command line is not one that runs a server".into());
        };
        if let Some(listen) = &started.listen {
            settings.listen = listen.clone();
        }
        if started.internal_listen.is_some() {
            settings.internal_listen.clone_from(&started.internal_listen);
        }
        Ok(*settings)
    }
}

/// Checks that a file is one that can be read again, without waiting, and is not just being written.
fn check_file(file: &str) -> Result<(), String> {
    let found = fs::metadata(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    if !found.is_file() {
        return Err(format!("{file} is no regular file, which alone can be read again"));
    }
    match found.len() {
        0 => Err(format!("{file} is empty; write another file and rename it, so that no part of it is read alone")),
        bytes if bytes > FILE_BYTES => Err(format!("{file} has {bytes} bytes; expected at most {FILE_BYTES}")),
        _ => Ok(()),
    }
}

/// The file that a server was started with, and the addresses of sockets that a service manager has handed over, in place of
/// those of the settings.
#[derive(Clone, Debug, Default)]
pub(super) struct StartedWith {
    file: Option<String>,
    listen: Option<Listen>,
    internal_listen: Option<Listen>,
}

impl StartedWith {
    /// Those of these settings and these sockets.
    pub(super) fn of(settings: &Settings, handed: &HandedSockets) -> Self {
        let is_handed = |kind| handed.addresses(kind).is_ok_and(|addresses| !addresses.is_empty());
        Self {
            file: settings.file.clone(),
            listen: is_handed(ListenerKind::Public).then(|| settings.listen.clone()),
            internal_listen: settings.internal_listen.clone().filter(|_| is_handed(ListenerKind::Internal)),
        }
    }
}
