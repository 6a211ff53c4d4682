//! `POST /api/explain`: what is known of a connection, of a publication and whom it reached, or of a room.

use super::accounts;
use super::question::Question;
use crate::net::client_socket::ClientSocket;
use crate::runtime::host::Host;
use crate::runtime::shard::ShardRuntime;
use parlor_core::explain::{
    ConnectionAccount, DeliveryPage, DeliveryPlace, PublicationAccount, RoomAccount, UnknownPublication,
};
use parlor_core::{ClientId, Shard};
use serde_json::Value;
use std::net::IpAddr;

/// The accounts that answer a question.
enum Explained {
    Connection(Option<ConnectionAccount>, Option<IpAddr>),
    Room(RoomAccount),
    Publication(PublicationAccount, DeliveryPage),
    UnknownPublication(UnknownPublication),
}

/// The answer; None while the shard begins anew. It is written outside of the shard's turn.
pub(super) fn answer(question: &Question, shard: &ShardRuntime) -> Option<Value> {
    let now = shard.clock.now();
    Some(match (shard.enter(|host, _| explained(host, question))?, question) {
        (Explained::Connection(account, address), _) => accounts::connection(account.as_ref(), address, now),
        (Explained::Room(account), _) => accounts::room(&account),
        (Explained::Publication(account, page), question) => {
            accounts::publication(&account, &page, question.client(), now)
        }
        (Explained::UnknownPublication(unknown), question) => accounts::unknown_publication(question, &unknown),
    })
}

fn explained(host: &Host<ClientSocket>, question: &Question) -> Explained {
    let shard = host.shard();
    match question {
        Question::Connection(client) => {
            let account = shard.explain_connection(*client);
            let address = account.as_ref().and_then(|account| host.address_of(account.conn, *client));
            Explained::Connection(account, address)
        }
        Question::Room(room) => Explained::Room(shard.explain_room(room)),
        Question::Publication { room, epoch, offset, client, from, limit } => {
            match shard.explain_publication(room, epoch, *offset) {
                Ok(account) => {
                    let page = page(shard, &account, *client, *from, *limit);
                    Explained::Publication(account, page)
                }
                Err(unknown) => Explained::UnknownPublication(unknown),
            }
        }
    }
}

/// The connections that a publication was for, or the one that is asked about.
fn page(
    shard: &Shard,
    publication: &PublicationAccount,
    client: Option<ClientId>,
    from: DeliveryPlace,
    limit: usize,
) -> DeliveryPage {
    match client {
        None => shard.explain_deliveries(publication, from, limit),
        Some(client) => {
            DeliveryPage { deliveries: shard.explain_delivery(publication, client).into_iter().collect(), next: None }
        }
    }
}
