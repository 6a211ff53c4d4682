//! The table of actions: a row for each has all that there is of it.
//!
//! A row is `Name(arguments) = "word", how often, if |world| when it makes sense => |world| what it does;`. The word is that of
//! traces, and how often is said by a [`Frequency`](super::Frequency). What a client says is a text beside its meaning
//! (`client_texts`), with an id that no other command has. A call of a backend
//! ([`ApiCall`](crate::reference::api_call::ApiCall)) is its method, its body and what it does in the reference model; `calls`
//! has those that several rows make.
//!
//! A new row goes to the end, so that the bytes of a fuzzer that stand for those before it keep their meaning.

/// Hands all rows to another macro: one makes [`Action`](super::Action) of them, another has a world carry them out.
macro_rules! action_table {
    ($rows:ident) => {
        $rows! {
    /// An upgrade request comes; `rooms` are those of a `plain` URL.
    Accept(client: Client, endpoint: Endpoint, rooms: Rooms) = "accept", always(60),
        if |world| world.connection(client).is_none() && endpoint.leads_to(rooms) =>
        |world| world.accept(client, endpoint, rooms);
    /// The last byte of the 101 is written.
    Upgrade(client: Client) = "upgrade", always(60),
        if |world| world.is(client, |connection| !connection.upgraded) => |world| world.upgrade(client);
    /// `connect` in json, where it has not come yet; `auth` in plain.
    Connect(client: Client, credential: Credential) = "connect", always(60),
        if |world| world.may_connect(client, credential) => |world| world.connect(client, credential);
    /// The shell has checked the token that it was asked to check.
    Decide(client: Client, verdict: Verdict, user: User) = "decide", always(40),
        if |world| world.is(client, |connection| connection.asked) => |world| world.decide(client, verdict, user);
    /// A json client joins a room.
    Join(client: Client, room: Room) = "join", always(50),
        if |world| world.may_ask(client) => |world| world.say(client, client_texts::join(room.index()));
    /// A json client joins a room and wants what it has missed.
    Recover(client: Client, room: Room, since: RecoverySince) = "recover", OFTEN_OF_THOSE_WHO_STAY,
        if |world| world.may_ask(client) => |world| world.recover(client, room, since, SubscribeOptions::default());
    /// A json client joins a room and wants to know who comes and goes.
    Watch(client: Client, room: Room) = "watch", OFTEN_OF_THOSE_WHO_STAY,
        if |world| world.may_ask(client) => |world| world.subscribe(client, room, SubscribeOptions::watching());
    /// A json client joins a room and wants both.
    RecoverAndWatch(client: Client, room: Room, since: RecoverySince) = "recover-and-watch", OFTEN_OF_THOSE_WHO_STAY,
        if |world| world.may_ask(client) => |world| world.recover(client, room, since, SubscribeOptions::watching());
    /// A json client shows a token for a room and wants both.
    RecoverByToken(client: Client, room: Room, since: RecoverySince) = "recover-by-token", OFTEN_OF_THOSE_WHO_STAY,
        if |world| world.may_ask(client) => |world| {
            let token = Some(world.token(client, Some(room.index())));
            world.recover(client, room, since, SubscribeOptions { token, ..SubscribeOptions::watching() })
        };
    /// A json client shows a token for a room.
    JoinByToken(client: Client, room: Room) = "join-by-token", OFTEN_OF_THOSE_WHO_STAY.times(6),
        if |world| world.may_ask(client) => |world| {
            let token = Some(world.token(client, Some(room.index())));
            world.subscribe(client, room, SubscribeOptions { token, ..SubscribeOptions::default() })
        };
    /// A json client shows another token for a room.
    SubRefresh(client: Client, room: Room) = "sub-refresh", OFTEN_OF_THOSE_WHO_STAY,
        if |world| world.may_ask(client) => |world| {
            let token = world.token(client, Some(room.index()));
            let params = json!({ "channel": room_name(room.index()), "token": token });
            world.say(client, client_texts::command(70 + u64::from(room.0), "sub_refresh", params))
        };
    /// A json client shows another token.
    Refresh(client: Client) = "refresh", OFTEN_OF_THOSE_WHO_STAY.times(3), if |world| world.may_ask(client) => |world| {
        let token = world.token(client, None);
        world.say(client, client_texts::command(60, "refresh", json!({ "token": token })))
    };
    /// A json client reads a log.
    History(client: Client, room: Room, part: Part) = "history", OFTEN_OF_THOSE_WHO_STAY,
        if |world| world.may_ask(client) => |world| {
            let query = history_request::query(part, &world.place(room.index()));
            world.say(client, client_texts::history(room.index(), query))
        };
    /// A json client asks who is in a room.
    Presence(client: Client, room: Room) = "presence", OFTEN_OF_THOSE_WHO_STAY,
        if |world| world.may_ask(client) =>
        |world| world.say(client, client_texts::in_room(50, "presence", room.index()));
    /// A json client asks how many are in a room.
    PresenceStats(client: Client, room: Room) = "presence-stats", OFTEN_OF_THOSE_WHO_STAY,
        if |world| world.may_ask(client) =>
        |world| world.say(client, client_texts::in_room(50, "presence_stats", room.index()));
    /// A json client leaves a room.
    Leave(client: Client, room: Room) = "leave", OFTEN,
        if |world| world.may_ask(client) => |world| world.say(client, client_texts::leave(room.index()));
    /// A client publishes.
    Publish(client: Client, room: Room, payload: Payload) = "publish", always(40),
        if |world| world.may_command(client) && world.may_publish(1) => |world| {
            let data = world.data(payload);
            world.say(client, client_texts::publish(world.is_json(client), room.index(), data))
        };
    /// A json client sends several commands at once.
    Together(client: Client, batch: Batch) = "together", OFTEN,
        if |world| world.may_send(client, batch) => |world| world.together(client, batch);
    /// A plain client says which events it wants.
    Select(client: Client, filter: Filter) = "select", OFTEN,
        if |world| world.talks(client, false) => |world| world.say(client, client_texts::select(filter, &world.setup));
    /// A client says something else.
    Say(client: Client, saying: Saying) = "say", OFTEN.or_fault(Family::Unruly),
        if |world| world.saying(client, saying).is_some() => |world| {
            let speech = world.saying(client, saying).expect("it makes sense");
            world.say(client, speech)
        };
    /// A Ping frame comes.
    Ping(client: Client) = "ping", OFTEN, if |world| world.is_heard(client) => |world| world.ping(client);
    /// A Pong frame comes.
    Pong(client: Client) = "pong", OFTEN, if |world| world.is_heard(client) => |world| world.pong(client);
    /// A Close frame comes.
    Close(client: Client, farewell: Farewell) = "close", fault(Family::Unruly),
        if |world| world.is_heard(client) => |world| world.close_stream(client, clients::code_of(farewell));
    /// A rule of the framing is broken.
    Violate(client: Client, rule: Rule) = "violate", fault(Family::Unruly),
        if |world| world.may_violate(client, rule) => |world| world.violate(client, rule);
    /// Reading finds the socket gone.
    Lose(client: Client, cause: Cause) = "lose", fault(Family::Lost),
        if |world| world.may_be_lost(client, cause) =>
        |world| world.lose(client, if cause == Cause::Eof { Lost::Eof } else { Lost::Read });
    /// From now on the next write fails.
    Break(client: Client) = "break", fault(Family::Lost),
        if |world| world.is(client, |connection| !connection.socket.broken) =>
        |world| world.fault(|world| world.connection_mut(client).socket.broken = true);
    /// The client dies without a word; its socket still takes bytes.
    Vanish(client: Client) = "vanish", fault(Family::Vanished),
        if |world| world.is(client, |connection| !connection.vanished) =>
        |world| world.fault(|world| world.connection_mut(client).vanished = true);
    /// From now on the socket takes nothing.
    Stall(client: Client) = "stall", fault(Family::Slow),
        if |world| world.is(client, |connection| !connection.socket.stalled) =>
        |world| world.fault(|world| world.connection_mut(client).socket.stalled = true);
    /// From now on the socket takes half of what waits, at most.
    Narrow(client: Client) = "narrow", fault(Family::Slow),
        if |world| world.is(client, |connection| !connection.socket.narrow) =>
        |world| world.fault(|world| world.connection_mut(client).socket.narrow = true);
    /// The socket takes everything again.
    Resume(client: Client) = "resume", OFTEN.or_fault(Family::Slow),
        if |world| world.is(client, |connection| connection.socket.stalled || connection.socket.narrow) => |world| {
            world.connection_mut(client).socket.resume();
            Ok(())
        };
    /// The driver writes to one socket.
    Write(client: Client, budget: WriteBudget) = "write", OFTEN.times(3).or_fault(Family::Slow),
        if |world| world.may_write(client, budget) => |world| world.write(client, budget);
    /// The driver writes to every socket.
    Flush() = "flush", always(60),
        if |world| world.clients().any(|client| world.is_writable(client)) => |world| world.flush();
    /// Every client that still can answers the pings and the Close that it has read.
    Respond() = "respond", always(30),
        if |world| world.clients().any(|client| world.owes(client)) =>
        |world| world.clients().try_for_each(|client| world.respond(client));
    /// A backend publishes to a room.
    ApiPublish(room: Room, payload: Payload) = "api-publish", always(40), if |world| world.may_publish(1) => |world| {
        let data = world.data(payload);
        world.publish_call(&calls::publish(room.index(), &data), &data)
    };
    /// A backend publishes to a room, once for each key.
    ApiPublishOnce(room: Room, key: Key) = "api-publish-once", OFTEN_OF_THOSE_WHO_STAY,
        if |world| world.may_publish(1) => |world| world.publish_once(room.index(), key);
    /// A backend reads a log.
    ApiHistory(room: Room, part: Part) = "api-history", OFTEN_OF_THOSE_WHO_STAY,
        if |world| true => |world| world.read_history(room.index(), part);
    /// A backend removes what a log retains.
    ApiHistoryRemove(room: Room) = "api-history-remove", OFTEN_OF_THOSE_WHO_STAY,
        if |world| true => |world| world.call(&calls::history_remove(room.index()));
    /// A backend asks who is in a room.
    ApiPresence(room: Room) = "api-presence", OFTEN_OF_THOSE_WHO_STAY,
        if |world| true => |world| world.call(&unforeseen::presence(room.index()));
    /// A backend asks how many are in a room.
    ApiPresenceStats(room: Room) = "api-presence-stats", OFTEN_OF_THOSE_WHO_STAY,
        if |world| true => |world| world.call(&unforeseen::presence_stats(room.index()));
    /// A backend puts a user's connections into a room, with what they have missed.
    ApiSubscribe(user: User, room: Room, since: RecoverySince) = "api-subscribe", OFTEN_OF_THOSE_WHO_STAY,
        if |world| world.setup.users > 0 => |world| {
            let want = history_request::want(since, &world.place(room.index())).or_without();
            world.call(&unforeseen::subscribe(user.index(), room.index(), &want))
        };
    /// A backend takes a user's connections out of a room.
    ApiUnsubscribe(user: User, room: Room) = "api-unsubscribe", OFTEN_OF_THOSE_WHO_STAY,
        if |world| world.setup.users > 0 => |world| world.call(&unforeseen::unsubscribe(user.index(), room.index()));
    /// A backend changes when a user's connections expire.
    ApiRefresh(user: User, renewal: Renewal) = "api-refresh", OFTEN_OF_THOSE_WHO_STAY,
        if |world| world.setup.users > 0 => |world| {
            let exp = world.expiry_of(renewal);
            world.call(&unforeseen::refresh(user.index(), renewal, exp))
        };
    /// A backend asks for several things in one call.
    ApiBatch(bundle: Bundle, user: User, room: Room) = "api-batch", OFTEN_OF_THOSE_WHO_STAY,
        if |world| world.may_publish(2) && (bundle != Bundle::Send || world.receiver_of(user).is_some()) =>
        |world| world.bundle(bundle, user, room.index());
    /// A backend publishes to every room.
    ApiBroadcast(payload: Payload) = "api-broadcast", OFTEN,
        if |world| world.may_publish(1) => |world| world.broadcast(payload);
    /// A backend sends to one connection.
    ApiSend(client: Client, payload: Payload) = "api-send", OFTEN,
        if |world| world.public_id(client).is_some() && world.may_publish(1) => |world| {
            let data = world.data(payload);
            world.publish_call(&world.send_to(client, &data), &data)
        };
    /// A backend publishes to a user.
    ApiPublishUser(user: User, payload: Payload) = "api-publish-user", OFTEN,
        if |world| world.may_publish(1) => |world| {
            let data = world.data(payload);
            world.publish_call(&calls::publish_user(user.index(), &data), &data)
        };
    /// A backend publishes to everybody.
    ApiPublishAll(payload: Payload) = "api-publish-all", OFTEN,
        if |world| world.may_publish(1) => |world| {
        let data = world.data(payload);
        world.publish_call(&calls::publish_all(&data), &data)
    };
    /// A backend closes the connections of a user.
    ApiDisconnectUser(user: User) = "api-disconnect-user", fault(Family::Dismissed),
        if |world| true => |world| world.call(&calls::disconnect(user.index()));
    /// A backend closes one connection.
    ApiDisconnectClient(client: Client) = "api-disconnect-client", fault(Family::Dismissed),
        if |world| world.public_id(client).is_some() => |world| {
            let body = json!({ "user": "", "client": world.known_id(client).to_string() });
            world.call(&calls::disconnect_client(client.index(), 3503, &body))
        };
    /// A backend makes a call without parameters.
    ApiLook(look: Look) = "api-look", OFTEN,
        if |world| true => |world| {
            world.call(&ApiCall::reading(&look.word(), "{}"))
        };
    /// A backend makes a call that is refused before the machine sees it.
    ApiMisuse(call: BadCall) = "api-misuse", OFTEN, if |world| true => |world| world.misuse(call);
    /// Time passes, and the driver says so.
    Advance(span: Span) = "advance", TIME, if |world| world.may_advance(span) => |world| world.advance(span);
    /// An input comes for a connection that has ended.
    Stale(client: Client, late: Late) = "stale", fault(Family::Lost),
        if |world| world.stale_id(client).is_some() => |world| world.stale(client, late);
    /// The server reads its settings again, twice: what it finds first allows more, and then it is as before.
    Reload() = "reload", seldom(10, 5), if |world| true => |world| world.reload();
    /// The server is asked to stop.
    Shutdown() = "shutdown", fault(Family::Shutdown),
        if |world| !world.is_shutting_down() => |world| world.turn(Input::Shutdown, &Stimulus::Shutdown);
    /// The faults stop, what is dead goes, what is alive gets everything, and then everybody leaves.
    Heal() = "heal", NEVER, if |world| true => |world| world.heal();
    /// A plain client without a greeting comes in at one stroke: accepted, upgraded and, where the scenario has users,
    /// known to be one of them by a token in the URL.
    Enter(client: Client, rooms: Rooms) = "enter", NEVER,
        if |world| world.connection(client).is_none() && rooms.0 != 0 => |world| world.enter(client, rooms);
    /// The calendar is set by an hour; the clock goes on as before.
    Calendar(jump: Jump) = "calendar", fault(Family::Calendar),
        if |world| world.may_jump(jump) => |world| world.jump(jump);
    /// A backend closes one connection with a code of its own.
    ApiDisconnectWith(client: Client, dismissal: Dismissal) = "api-disconnect-with", fault(Family::Dismissed),
        if |world| world.public_id(client).is_some() => |world| {
            let (id, code) = (world.known_id(client).to_string(), dismissal.code());
            let body = json!({ "client": id, "disconnect": { "code": code, "reason": "so" } });
            world.call(&calls::disconnect_client(client.index(), code, &body))
        };
    /// Several frames come at once.
    Frames(client: Client, frames: Frames) = "frames", fault(Family::Unruly),
        if |world| world.may_send_frames(client, frames) => |world| world.frames(client, frames);
    /// An upgrade request comes of a plain client that was in all of these rooms before. Every other client has a token
    /// too, and was in its user's own room.
    AcceptSince(client: Client, rooms: Rooms, since: RecoverySince) = "accept-since", seldom(30, 60),
        if |world| world.connection(client).is_none() && rooms.0 != 0 =>
        |world| world.accept_since(client, rooms, since);
    /// A backend closes some connections with a code of its own.
    ApiDisconnectSome(client: Client, selector: Selector, code: Code) = "api-disconnect-some", seldom(20, 60),
        if |world| world.may_select(client) => |world| world.disconnect_some(client, selector, code);
    /// A backend puts some connections into a room, with what they have missed.
    ApiSubscribeSome(client: Client, selector: Selector, room: Room) = "api-subscribe-some", seldom(20, 30),
        if |world| world.may_select(client) => |world| {
            let want = history_request::want(RecoverySince::One, &world.place(room.index())).or_without();
            world.call_for(client, selector, |user| unforeseen::subscribe(user, room.index(), &want))
        };
    /// A backend takes some connections out of a room.
    ApiUnsubscribeSome(client: Client, selector: Selector, room: Room) = "api-unsubscribe-some", seldom(20, 20),
        if |world| world.may_select(client) =>
        |world| world.call_for(client, selector, |user| unforeseen::unsubscribe(user, room.index()));
    /// A backend changes when some connections expire.
    ApiRefreshSome(client: Client, selector: Selector, renewal: Renewal) = "api-refresh-some", seldom(20, 20),
        if |world| world.may_select(client) => |world| {
            let exp = world.expiry_of(renewal);
            world.call_for(client, selector, |user| unforeseen::refresh(user, renewal, exp))
        };
    /// A backend lists rooms or connections.
    ApiList(listing: Listing, user: User, room: Room) = "api-list", seldom(20, 40),
        if |world| true => |world| world.list(listing, user.index(), room.index());
    /// A backend asks for many things in one call.
    ApiMuch(many: Many, user: User, room: Room) = "api-much", seldom(8, 3),
        if |world| world.may_publish(selected::PARTS) =>
        |world| world.much(many, user.index(), room.index());
    /// The next message from one shard to another comes.
    Deliver(from: ShardNumber, to: ShardNumber) = "deliver", always(40).of_slow_links(),
        if |world| world.link(from, to).waiting > 0 => |world| world.deliver(from, to);
    /// All messages between shards come, but for those that are held.
    DeliverAll() = "deliver-all", always(10).of_slow_links(),
        if |world| world.may_deliver() => |world| world.deliver_all();
    /// What one shard sends to another waits from now on, but for what is delivered alone.
    Hold(from: ShardNumber, to: ShardNumber) = "hold", OFTEN.of_slow_links(),
        if |world| world.may_hold(from, to) => |world| world.on_links(LinkWork::Hold(from.index(), to.index()));
    /// It does so no more.
    LetGo(from: ShardNumber, to: ShardNumber) = "let-go", OFTEN.of_slow_links(),
        if |world| world.link(from, to).is_held =>
        |world| world.on_links(LinkWork::LetGo(from.index(), to.index()));
    /// A shard is lost with all that it has, and another one starts in its place.
    LoseShard(shard: ShardNumber) = "lose-shard", fault(Family::ShardLost),
        if |world| world.setup.shards > 1 => |world| world.lose_one(shard);
    /// A backend takes tokens back, or asks which were.
    ApiRevoke(user: User, revoking: Revoking) = "api-revoke", seldom(40, 60),
        if |world| world.setup.users > 0 => |world| {
            let (method, body) = world.revocation(user.index(), revoking);
            world.call(&ApiCall::unforeseen(method, body))
        };
        }
    };
}
pub(in crate::world) use action_table;
