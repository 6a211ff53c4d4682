//! Calls of a backend about some connections of many: those that a selector means, and parts of lists.

use crate::goals::Goal;
use crate::guarantees::Failure;
use crate::reference::api_call::ApiCall;
use crate::subjects::subject::Subject;
use crate::world::action::{Client, Code, Listing, Selector};
use crate::world::names::{room_name, user_name};
use crate::world::state::{ListPage, World};
use serde_json::{Value, json};

/// So many parts has a call of many.
pub(in crate::world) const PARTS: u64 = 120;

/// A public id that no connection has.
const NOBODY: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/// Whom a call names.
struct Selected {
    fields: Value,
    user: Option<usize>,
}

impl<S: Subject> World<S> {
    fn selected(&mut self, client: Client, selector: Selector) -> Selected {
        let client_id = self.known_id(client);
        let users = usize::from(self.user_count());
        let own = self.user_of(client).unwrap_or(client.index() % users);
        if matches!(selector, Selector::Torn | Selector::Stranger) && self.is_ready(client) {
            self.reach(Goal::MeantNobody);
        }
        let id = client_id.to_string();
        let fields = match selector {
            Selector::Client | Selector::Stranger => json!({ "client": id }),
            Selector::Session | Selector::Lone => json!({ "session": id }),
            Selector::Both => json!({ "client": id, "session": id }),
            Selector::Torn => json!({ "client": id, "session": NOBODY }),
            Selector::AllBut => json!({ "whitelist": [id, NOBODY] }),
            Selector::AllButNobody => json!({ "whitelist": ["nobody", null] }),
        };
        let user = match selector {
            Selector::Lone => None,
            Selector::Stranger => Some((own + 1) % users),
            _ => Some(own),
        };
        Selected { fields, user }
    }

    pub(in crate::world) fn disconnect_some(
        &mut self,
        client: Client,
        selector: Selector,
        code: Code,
    ) -> Result<(), Failure> {
        let Selected { mut fields, user } = self.selected(client, selector);
        let number: u16 = code.number();
        fields["disconnect"] = json!({ "code": number, "reason": "so" });
        user.into_iter().for_each(|user| fields["user"] = user_name(user).into());
        if matches!(code, Code::TooLow | Code::TooHigh) {
            return self.refused_call("disconnect", &fields.to_string(), 107);
        }
        self.call(&ApiCall::unforeseen("disconnect", fields))
    }

    /// A call that needs a user, and knows no exceptions.
    pub(in crate::world) fn call_for<'a>(
        &mut self,
        client: Client,
        selector: Selector,
        call: impl FnOnce(usize) -> ApiCall<'a>,
    ) -> Result<(), Failure> {
        let Selected { fields, user } = self.selected(client, selector);
        let call = call(user.unwrap_or(0));
        let mut body: Value = serde_json::from_str(&call.body).expect("a body is JSON");
        fields.as_object().into_iter().flatten().for_each(|(name, value)| body[name] = value.clone());
        if user.is_none() {
            body["user"] = Value::Null;
        }
        if user.is_none() || matches!(selector, Selector::AllBut | Selector::AllButNobody) {
            return self.refused_call(&call.method, &body.to_string(), 107);
        }
        self.call(&call.with_body(&body))
    }

    pub(in crate::world) fn list(&mut self, listing: Listing, user: usize, room: usize) -> Result<(), Failure> {
        let long = "*".repeat(self.setup.limits.room_name_bytes + 1);
        let one = format!("?{room}");
        let pattern = match listing {
            Listing::Named => Some("r*"),
            Listing::One => Some(one.as_str()),
            Listing::Own => Some("#u?"),
            Listing::Zero => Some("*0*"),
            Listing::LongPattern => Some(long.as_str()),
            _ => None,
        };
        let of_rooms =
            pattern.is_some() || matches!(listing, Listing::FirstRoom | Listing::NextRooms | Listing::RestOfRooms);
        let goes_on = matches!(listing, Listing::NextRooms | Listing::RestOfRooms | Listing::Next | Listing::Rest);
        let page = self.pages[usize::from(of_rooms)].clone().filter(|_| goes_on);
        let limit = match listing {
            Listing::FirstRoom | Listing::First => Some(1),
            Listing::NextRooms | Listing::Next => Some(2),
            Listing::OfNone => Some(0),
            Listing::TooMany => Some(1001),
            _ => None,
        };
        let mut body = json!({ "limit": limit, "cursor": page.map(|page| page.cursor) });
        pattern.into_iter().for_each(|pattern| body["pattern"] = pattern.into());
        if matches!(listing, Listing::OfUser | Listing::OfUserInRoom) {
            body["user"] = user_name(user).into();
        }
        if matches!(listing, Listing::InRoom | Listing::OfUserInRoom) {
            body["channel"] = room_name(room).into();
        }
        if listing == Listing::OddCursor {
            body["cursor"] = "odd".into();
        }
        let call = ApiCall::unforeseen(if of_rooms { "channels" } else { "connections" }, body);
        let is_refused =
            matches!(listing, Listing::LongPattern | Listing::OfNone | Listing::TooMany | Listing::OddCursor);
        if is_refused {
            return self.refused_call(&call.method, &call.body, 107);
        }
        self.call(&call)?;
        self.turn_page(of_rooms);
        Ok(())
    }

    /// Records where the list goes on that was answered last.
    fn turn_page(&mut self, of_rooms: bool) {
        // A list that is answered later goes on nowhere.
        let answer: Value = serde_json::from_str(&self.answered).unwrap_or_default();
        let result = &answer["result"];
        let page = result["cursor"].as_str().map(|cursor| ListPage { cursor: cursor.into() });
        self.pages[usize::from(of_rooms)] = page;
    }
}

impl Code {
    pub(in crate::world) fn number(self) -> u16 {
        match self {
            Self::First => 3000,
            Self::LastTemporary => 3499,
            Self::Servers => 3008,
            Self::OwnTemporary => 4499,
            Self::OwnFinal => 4500,
            Self::Last => 4999,
            Self::TooLow => 2999,
            Self::TooHigh => 5000,
        }
    }
}
