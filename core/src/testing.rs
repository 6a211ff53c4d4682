//! Helpers for the tests of several modules.

use crate::config::Config;
use crate::hub::Hub;
use crate::ids::{ClientId, ClientInfo, ConnId};
use crate::input::Upgrade;
use crate::json::Json;
use crate::link::{HomeEvent, HomeRequest};
use crate::names::UserId;
use crate::publication::{Draft, LogPosition, Publication, Replayed};
use alloc::string::String;
use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The message of a failed assertion, and the change of the state that makes it fail.
pub type Wrong<T> = (&'static str, fn(&mut T));

/// Asserts that an audit accepts the state that `make` returns, and rejects each of the changed states with its
/// message.
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

/// Returns the info of an anonymous client.
pub fn client_info(client: u8) -> Arc<ClientInfo> {
    Arc::new(ClientInfo { client: ClientId([client; 16]), user: UserId::anonymous(), info: None, room_info: None })
}

/// Returns a draft that is to be retained.
pub fn draft(data: &str) -> Draft {
    let data = Json::parse(data).expect("JSON").into();
    Draft { data, tags: None, info: None, skip_history: false, shared: false }
}

/// Returns a publication with this offset.
pub fn publication(offset: u64, data: &str) -> Arc<Publication> {
    Arc::new(Publication { epoch: 7, offset, prev: offset.saturating_sub(1), draft: draft(data) })
}

/// Accepts an upgrade request for this URL from a loopback address.
pub fn accept_from_loopback(hub: &mut Hub, config: &Config, client: u8, url: &str) -> ConnId {
    let target = config.resolve(url).expect("a path that is served");
    let address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    hub.accept(Upgrade { client: [client; 16], target, token: None, address }).expect("there is room")
}

/// Confirms the first join that a hub has asked the home for.
pub fn confirm_join(hub: &mut Hub) {
    let Some(HomeRequest::Join { ticket, conn, join, room, member, .. }) = hub.requests.pop_front() else {
        panic!("a connection joins")
    };
    hub.on_home_event(HomeEvent::Joined {
        ticket,
        conn,
        client: member.client,
        join,
        room,
        position: LogPosition { epoch: 7, offset: 0 },
        replay: Replayed::default(),
    });
}
