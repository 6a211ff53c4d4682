//! The settings of the process, as they are read at the start and again while it serves.

use crate::config::{Invocation, ListenerKind, Settings};
use crate::net::handed_sockets::HandedSockets;
use clap::Command;
use std::ffi::OsString;

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
    pub(super) fn load_again(&self, handed: &HandedAddresses) -> Result<Settings, String> {
        let Invocation::Serve(mut settings) = self.load()? else {
            return Err("the command line is not one that runs a server".into());
        };
        if let Some(listen) = &handed.listen {
            settings.listen = listen.clone();
        }
        if handed.internal_listen.is_some() {
            settings.internal_listen.clone_from(&handed.internal_listen);
        }
        Ok(*settings)
    }
}

/// The addresses of sockets that a service manager has handed over, in place of those of the settings.
#[derive(Clone, Debug, Default)]
pub(super) struct HandedAddresses {
    listen: Option<crate::config::Listen>,
    internal_listen: Option<crate::config::Listen>,
}

impl HandedAddresses {
    /// Those that these settings have from these sockets.
    pub(super) fn of(settings: &Settings, handed: &HandedSockets) -> Self {
        let is_handed = |kind| handed.addresses(kind).is_ok_and(|addresses| !addresses.is_empty());
        Self {
            listen: is_handed(ListenerKind::Public).then(|| settings.listen.clone()),
            internal_listen: settings.internal_listen.clone().filter(|_| is_handed(ListenerKind::Internal)),
        }
    }
}
