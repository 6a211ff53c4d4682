//! What the tests of several modules need.

use crate::config::Config;
use crate::hub::Hub;
use crate::ids::{ClientId, ClientInfo, ConnId, Name};
use crate::input::Upgrade;
use crate::publication::{Draft, Publication};
use alloc::string::String;
use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is said of something that is wrong, and how it comes to be.
pub type Wrong<T> = (&'static str, fn(&mut T));

/// Asserts that an audit is content with what `make` makes, and finds each of these.
/// One that it overlooks would never be missed.
pub fn audit_finds<T>(make: impl Fn() -> T, audit: impl Fn(&T), wrongs: &[Wrong<T>]) {
    audit(&make());
    for (words, spoil) in wrongs {
        let mut spoiled = make();
        spoil(&mut spoiled);
        let panic = catch_unwind(AssertUnwindSafe(|| audit(&spoiled))).expect_err(words);
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        assert!(said.is_some_and(|said| said.contains(words)), "{said:?} instead of {words:?}");
    }
}

/// Somebody without a name.
pub fn client_info(client: u8) -> Arc<ClientInfo> {
    Arc::new(ClientInfo { client: ClientId([client; 16]), user: Name::empty(), info: None, room_info: None })
}

/// A message that is to be retained.
pub fn draft(data: &str) -> Draft {
    Draft { data: data.into(), tags: None, info: None, skip_history: false, shared: false }
}

/// The same, with a place in a log.
pub fn publication(offset: u64, data: &str) -> Arc<Publication> {
    Arc::new(Publication { epoch: 7, offset, draft: draft(data) })
}

/// Lets a request for this URL in, from this machine.
pub fn accept_from_loopback(hub: &mut Hub, config: &Config, client: u8, url: &str) -> ConnId {
    let target = config.routes.resolve(url, &config.limits).expect("a path that is served");
    let address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    hub.accept(Upgrade { client: [client; 16], target, token: None, address }).expect("there is room")
}
