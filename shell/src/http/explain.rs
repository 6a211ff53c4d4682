//! `POST /api/explain`: what is known of a connection, of a publication and whom it reached, or of a room.

use super::accounts;
use super::question::Question;
use crate::runtime::shard::ShardRuntime;
use parlor_core::explain::{DeliveryPage, DeliveryPlace, PublicationAccount};
use parlor_core::{ClientId, Shard};
use serde_json::Value;

/// The answer; None while the shard begins anew.
pub(super) fn answer(question: &Question, shard: &ShardRuntime) -> Option<Value> {
    shard.enter(|host, now| match question {
        Question::Connection(client) => {
            let account = host.shard().explain_connection(*client);
            let address = account.as_ref().and_then(|account| host.address_of(account.conn, *client));
            accounts::connection(account.as_ref(), address, now)
        }
        Question::Room(room) => accounts::room(&host.shard().explain_room(room)),
        Question::Publication { room, epoch, offset, client, from, limit } => {
            match host.shard().explain_publication(room, epoch, *offset) {
                Ok(publication) => {
                    let page = page(host.shard(), &publication, *client, *from, *limit);
                    accounts::publication(&publication, &page, now)
                }
                Err(unknown) => accounts::unknown_publication(room, *offset, &unknown),
            }
        }
    })
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
