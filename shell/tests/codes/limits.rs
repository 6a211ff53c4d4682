//! Every limit, with what reaches it.

use super::*;

/// Reaches a limit. A new limit does not compile without a function that does.
fn reached_by(limit: Limit) -> fn() {
    match limit {
        Limit::HttpConnections => too_many_sockets,
        Limit::HttpConnectionsPerIp => too_many_sockets_from_an_address,
        Limit::ProbeConnections => too_many_probes,
        Limit::RequestTimeout => half_a_request,
        Limit::IdleTimeout => idle_socket,
        Limit::LingerTimeout => lingering_socket,
        Limit::HeaderBytes => endless_headers,
        Limit::ApiBodyBytes => large_body,
        Limit::BroadcastChannels => wide_broadcast,
        Limit::BatchCommands => long_batch,
        Limit::ApiReplyBytes => large_api_reply,
        Limit::UrlParameters | Limit::UrlHistory => too_much_in_url,
        Limit::RouteIdBytes => long_route_id,
        Limit::HandshakeTimeout => unanswered_upgrade,
        Limit::AuthenticateTimeout => stale,
        Limit::PingInterval | Limit::PongTimeout => no_pong,
        Limit::TicketTimeout | Limit::CommandsInFlight => answered_at_once,
        Limit::MessageTimeout => unfinished_message,
        Limit::WriteTimeout => no_write_progress,
        Limit::CloseTimeout => unanswered_close,
        Limit::ExpiryGrace => expired_connection,
        Limit::TokenLeeway => clocks_that_differ,
        Limit::DrainTimeout => request_that_outlasts_the_drain,
        Limit::MessageBytes => oversize_message,
        Limit::WaitingMessages => messages_before_a_verdict,
        Limit::InboundBytesTotal => unfinished_beyond_the_node,
        Limit::PublicationBytes => large_publication,
        Limit::JsonDepth => deep_payload,
        Limit::JsonNumberDigits => long_number,
        Limit::InfoBytes => large_info,
        Limit::CapsBytes => many_capabilities,
        Limit::TokenIdBytes => long_token_id,
        Limit::RevokedTokens => too_many_revoked_tokens,
        Limit::InvalidatedUsers => too_many_invalidated_users,
        Limit::FrameBytes => large_frame,
        Limit::OutboxBytes => slow_client,
        Limit::OutboxFrames => full_outbox,
        Limit::OutboxBytesTotal => full_outboxes,
        Limit::RoomsPerConnection => too_many_rooms,
        Limit::RoomNameBytes => long_room_name,
        Limit::FilterEvents | Limit::FilterEventBytes => large_filter,
        Limit::HistoryMessages => history_of_messages,
        Limit::HistoryAge => old_history,
        Limit::HistoryBytes => history_of_all_rooms,
        Limit::HistoryBytesPerRoom => history_of_a_room,
        Limit::LogMemory => forgotten_log,
        Limit::Logs => overloaded,
        Limit::Absences => too_many_absences,
        Limit::ReplyMessages => long_reply,
        Limit::ReplyBytes => large_reply,
        Limit::IdempotencyWindow => late_repetition,
        Limit::IdempotencyKeys => displaced_key,
        Limit::IdempotencyKeyBytes => long_idempotency_key,
        Limit::Connections => too_many_connections,
        Limit::ConnectionsPerUser => too_many_of_a_user,
        Limit::ConnectionsPerIp => too_many_from_an_address,
        Limit::NewConnections => too_fast,
        Limit::NewConnectionsPerIp => too_fast_from_an_address,
        Limit::NewHandshakes => too_many_handshakes,
        Limit::NewHandshakesPerIp => too_many_handshakes_from_an_address,
        Limit::WrongKeysPerIp => too_many_wrong_keys,
        Limit::ClientFrames => frames_without_end,
        Limit::ClientCommands => too_many_commands,
        Limit::ClientPublishes => too_many_publications,
        Limit::ClientJoins => too_many_joins,
        Limit::ClientRefusals => commands_without_end,
    }
}

/// Whether nothing is refused when a limit is reached, and so nothing counted: what reaches it asserts what happens.
fn refuses_nothing(limit: Limit) -> bool {
    use Limit::*;
    matches!(
        limit,
        CommandsInFlight
            | TicketTimeout
            | PingInterval
            | TokenLeeway
            | HistoryMessages
            | HistoryAge
            | HistoryBytes
            | HistoryBytesPerRoom
            | LogMemory
            | Absences
            | FrameBytes
            | ReplyMessages
            | IdempotencyWindow
            | IdempotencyKeys
    )
}

#[test]
fn every_limit_is_reached_and_counted_by_its_name() {
    let count = |limit: Limit| (!refuses_nothing(limit)).then(|| Observed::Limit(limit.name().into()));
    each_is_observed(Limit::ALL.iter().map(|limit| (count(*limit), reached_by(*limit))).collect());
}
