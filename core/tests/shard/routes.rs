//! From the target of a request to rooms.

use crate::world::routes;
use parlor_core::admission::route::{RouteError, Routes, Target};
use parlor_core::{Config, Limit, Limits};

fn rooms(routes: &Routes, target: &str) -> Result<Vec<String>, RouteError> {
    let limits = Limits { rooms_per_connection: 3, ..Limits::default() };
    match (Config { routes: routes.clone(), ..Config::from(limits) }).resolve(target)? {
        Target::Json { .. } => Ok(vec!["json".into()]),
        Target::Plain(plain) => Ok(plain.rooms.iter().map(|room| room.to_string()).collect()),
    }
}

#[test]
fn paths_lead_to_rooms() {
    let routes = routes(&[
        ("/ws/monitor", "global_monitor", None),
        ("/ws/pipeline/{id}", "pipeline_{id}", None),
        ("/ws/logs/realtime", "logs_realtime", None),
    ]);
    let long = "x".repeat(64);
    let found = [
        ("/connection/websocket".to_owned(), "json".to_owned()),
        ("/connection/websocket/?x=1".into(), "json".into()),
        ("/ws/lobby".into(), "lobby".into()),
        ("/ws/lobby/".into(), "lobby".into()),
        ("/ws/monitor".into(), "global_monitor".into()),
        ("/ws/pipeline/7/".into(), "pipeline_7".into()),
        (format!("/ws/pipeline/{long}"), format!("pipeline_{long}")),
        ("/ws/pipeline".into(), "pipeline".into()),
        ("/ws/logs/realtime".into(), "logs_realtime".into()),
        ("/ws/a%2Fb".into(), "a/b".into()),
        ("/ws/%2523".into(), "%23".into()),
        ("/ws/ä".into(), "ä".into()),
        ("/ws?room=a+b&room=%C3%A4&room=a+b".into(), "a b,ä".into()),
    ];
    for (target, expected) in found {
        assert_eq!(rooms(&routes, &target).map(|rooms| rooms.join(",")), Ok(expected), "{target}");
    }
    for target in ["/", "/wss", "/connection", "/ws/a/b", "/ws/pipeline/a b", "/ws/pipeline/%2F", "/ws/pipeline/7/x"] {
        assert_eq!(rooms(&routes, target), Err(RouteError::NotFound), "{target}");
    }
    for (target, words) in [
        ("/ws", "name a room"),
        ("/ws/", "name a room"),
        ("/ws/%ff", "not UTF-8"),
        ("/ws/a%0A", "control"),
        ("/ws?room=", "must not be empty"),
        ("/ws/a?since=x", "since must be <epoch>:<offset>"),
        ("/ws/a?since=x:-1", "since must be <epoch>:<offset>"),
        ("/ws?room=a&room=b&since=x:1", "with several rooms since must be <room>:<epoch>:<offset>"),
        ("/ws/a?since=x:1&history=5", "use since or history, not both"),
        ("/ws/a?history=x", "a whole number from 0 to 100"),
        ("/ws/a?positions=1", "positions must be on or off"),
        ("/ws/a?greeting=no", "greeting must be on or off"),
    ] {
        let Err(RouteError::Bad(message)) = rooms(&routes, target) else { panic!("{target} is bad") };
        assert!(message.contains(words), "{target}: {message}");
    }
    let long = format!("/ws/{}", "x".repeat(201));
    let parameters = format!("/ws/a?b{}", "&b".repeat(500));
    for (target, beyond) in [
        ("/ws?room=a&room=b&room=c&room=d", Limit::RoomsPerConnection),
        ("/ws?room=a&room=a&room=a&room=a", Limit::RoomsPerConnection),
        (&parameters, Limit::UrlParameters),
        (&parameters.replace("/ws/a", "/connection/websocket"), Limit::UrlParameters),
        (&long, Limit::RoomNameBytes),
        ("/ws/a?history=101", Limit::UrlHistory),
        ("/ws/a?history=99999999999999999999", Limit::UrlHistory),
    ] {
        let Err(RouteError::Limit(limit, message)) = rooms(&routes, target) else { panic!("{target} is too much") };
        assert!(limit == beyond && message.contains(beyond.name()), "{target}: {limit}: {message}");
    }
    assert!(rooms(&routes, "/ws?room=a&room=b&room=c").is_ok(), "just as many as there may be");
    assert!(rooms(&routes, &parameters[..parameters.len() - 2]).is_ok(), "just as many as there may be");
    assert_eq!(rooms(&routes, &parameters.replace("/ws/a", "/wss")), Err(RouteError::NotFound));
    assert_eq!(rooms(&routes, &format!("/ws/{}", "%ff/".repeat(7000))), Err(RouteError::NotFound), "not looked at");
    let Err(RouteError::Forbidden(message)) = rooms(&routes, "/ws/%23ada") else { panic!("reserved") };
    assert!(message.contains("reserved"), "{message}");
}

#[test]
fn the_id_in_a_path_is_bounded_by_route_id_bytes() {
    let mut routes = Routes::default();
    routes.add("/ws/pipeline/{id}", "pipeline_{id}", None).expect("a good route");
    let longest = "x".repeat(64);
    assert_eq!(rooms(&routes, &format!("/ws/pipeline/{longest}")), Ok(vec![format!("pipeline_{longest}")]));
    let Err(RouteError::Limit(limit, words)) = rooms(&routes, &format!("/ws/pipeline/{longest}x")) else {
        panic!("a byte too many")
    };
    assert_eq!(
        (limit, &*words),
        (Limit::RouteIdBytes, "the segment that stands for {id} must have at most 64 bytes (route_id_bytes)")
    );
    assert_eq!(rooms(&routes, "/ws/pipeline/a%20b"), Err(RouteError::NotFound), "no id at all");
}

#[test]
fn a_parameter_that_resembles_a_known_one_is_refused() {
    let mut routes = Routes::default();
    routes.add("/ws/pipeline/{id}", "pipeline_{id}", None).expect("a good route");
    for (query, words) in [
        ("position=on", "unknown parameter position in the URL; did you mean positions?"),
        ("a=b&Positions=on", "unknown parameter Positions in the URL; did you mean positions?"),
        ("positoins=on", "did you mean positions?"),
        ("histroy=5", "did you mean history?"),
        ("sinse=a:1", "did you mean since?"),
        ("tokens=x", "did you mean token?"),
        ("greetings=off", "did you mean greeting?"),
        ("reeting=off", "did you mean greeting?"),
        ("rooms=b", "did you mean room?"),
        ("room=b", "the path already names a room"),
    ] {
        for path in ["/ws/a", "/ws/pipeline/7"] {
            let Err(RouteError::Bad(message)) = rooms(&routes, &format!("{path}?{query}")) else {
                panic!("{query} is bad")
            };
            assert!(message.contains(words), "{query}: {message}");
        }
    }
    assert!(matches!(rooms(&routes, "/ws?room=a&rooms=b"), Err(RouteError::Bad(_))));
    assert_eq!(rooms(&routes, "/wss?position=on"), Err(RouteError::NotFound));
    // Pages that were written for another server say what is not for this one.
    for query in ["_=1700000000", "user_id=7", "pos=on", "zimmer=b", "&&", "=", "clients=1", "roam%FFe=1"] {
        assert_eq!(rooms(&routes, &format!("/ws/a?{query}")), Ok(vec!["a".into()]), "{query}");
    }
}

#[test]
fn query_parameters_choose_how_to_connect() {
    let resolve = |target| Config::default().resolve(target).expect("a route");
    assert_eq!(resolve("/connection/websocket?cf_ws_frame_ping_pong=true"), Target::Json { frame_pings: true });
    assert_eq!(resolve("/connection/websocket?cf_ws_frame_ping_pong=1"), Target::Json { frame_pings: false });
    let Target::Plain(plain) = resolve("/ws/a?token=x%20y&greeting=off") else { panic!("plain") };
    assert_eq!((plain.token.as_deref(), plain.greeting, &*plain.subscribed), (Some("x y"), false, "subscribed"));
    let Target::Plain(plain) = resolve("/ws/a?%74o%6ben=a+b=%2B&token=c") else { panic!("plain") };
    assert_eq!(plain.token.as_deref(), Some("a b=+"), "names may be encoded, and the first of several counts");
    let Target::Plain(plain) = resolve("/ws/a?greeting=on&positions=on") else { panic!("plain") };
    assert!(plain.greeting && plain.positions);
}

#[test]
fn an_invalid_template_is_refused_with_a_reason() {
    let cases = [
        ("/live/{id}", "a", "must start with /ws/"),
        ("/ws/{id}/{id}", "a", "more than one"),
        ("/ws/x{id}", "a", "plain text or {id}"),
        ("/ws//a", "a", "plain text or {id}"),
        ("/ws/", "a", "plain text or {id}"),
        ("/ws/a", "b_{id}", "does not have"),
        ("/ws/a", "", "must not be empty"),
        ("/ws/a", "#a", "are reserved"),
    ];
    for (path, room, words) in cases {
        let refused = Routes::default().add(path, room, None).expect_err(path);
        assert!(refused.contains(words), "{path}: {refused}");
    }
}
