// npm `centrifuge`, unchanged and with its default options, against the json profile.
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';
import { address, api, done, eventually, expect, now, run, sleep, token } from './harness.mjs';

const IDLE_S = 60;
const url = `ws://${address}/connection/websocket`;

// Node 20 has no WebSocket of its own to give to the client. This one also notes what went over it.
function recording() {
  const log = { sent: [], received: [], pings: 0 };
  class Recorded extends WebSocket {
    constructor(...args) {
      super(...args);
      this.on('message', (data) => log.received.push(data.toString()));
      this.on('ping', () => (log.pings += 1));
    }
    send(data, ...rest) {
      log.sent.push(data.toString());
      super.send(data, ...rest);
    }
  }
  return { Recorded, log };
}

function client(options = {}, query = '') {
  const { Recorded, log } = recording();
  const centrifuge = new Centrifuge(url + query, { websocket: Recorded, ...options });
  const events = [];
  for (const name of ['connecting', 'connected', 'disconnected', 'error', 'subscribed', 'publication', 'message']) {
    centrifuge.on(name, (context) => events.push([name, context]));
  }
  const seen = (name) => events.filter(([event]) => event === name).map(([, context]) => context);
  return { centrifuge, log, seen };
}

// A subscription with everything that it was told.
function subscribe(centrifuge, channel) {
  const subscription = centrifuge.newSubscription(channel);
  const heard = { subscription, publications: [], ended: [] };
  subscription.on('publication', (context) => heard.publications.push(context));
  subscription.on('unsubscribed', (context) => heard.ended.push(context.code));
  subscription.subscribe();
  return heard;
}

const data = (heard) => heard.publications.map((publication) => publication.data);

async function roomsSentWithTheConnect() {
  const { centrifuge, log } = client();
  const rooms = ['js-a', 'js-b', 'js-c'].map((room) => subscribe(centrifuge, room));
  centrifuge.connect();
  await Promise.all(rooms.map(({ subscription }) => subscription.ready(5000)));
  const methods = log.sent[0].split('\n').map((line) => Object.keys(JSON.parse(line)).find((key) => key !== 'id'));
  expect('the first frame that the SDK sends', methods, ['connect', 'subscribe', 'subscribe', 'subscribe']);
  for (const [at, room] of rooms.entries()) {
    const { offset, epoch } = await api('publish', { channel: room.subscription.channel, data: { at } });
    expect('offset and epoch of a publish', [offset, typeof epoch], [1, 'string']);
    await eventually('what the room received', () => data(room), [{ at }]);
    expect('the offset of a publication', room.publications[0].offset, 1);
  }
  done('js: subscriptions made before connect() go out with it, a backend publishes to each');
  centrifuge.disconnect();
}

async function publishBothWays() {
  const ann = client();
  const bob = client();
  const rooms = [ann, bob].map(({ centrifuge }) => subscribe(centrifuge, 'js-both'));
  [ann, bob].forEach(({ centrifuge }) => centrifuge.connect());
  await Promise.all(rooms.map(({ subscription }) => subscription.ready(5000)));
  await rooms[0].subscription.publish({ from: 'ann' });
  await api('publish', { channel: 'js-both', data: ['from', 'the', 'backend'], tags: { kind: 'list' } });
  for (const room of rooms) {
    await eventually('a room published to from both sides', () => data(room), [
      { from: 'ann' },
      ['from', 'the', 'backend'],
    ]);
    expect('who published', room.publications[0].info.client, ann.seen('connected')[0].client);
    expect('tags of a publication', room.publications[1].tags, { kind: 'list' });
  }
  done('js: a client and a backend publish to one room');

  const pretty = { text: 'line one\nline two\r\n', list: [1, { deep: '\n' }], empty: {} };
  const body = JSON.stringify({ channel: 'js-both', data: pretty }, null, 2).replaceAll('\n', '\r\n');
  await api('publish', body);
  await eventually('a payload sent with newlines in it', () => data(rooms[1])[2], pretty);
  done('js: a pretty-printed payload arrives whole');

  rooms[0].subscription.unsubscribe();
  await eventually('members after unsubscribe', async () => (await api('channels', { pattern: 'js-both' })).channels, {
    'js-both': { num_clients: 1 },
  });
  await api('publish', { channel: 'js-both', data: 'after' });
  await eventually('the one who stayed', () => data(rooms[1]).length, 4);
  expect('the one who left', [data(rooms[0]).length, rooms[0].ended], [3, [0]]);
  rooms[0].subscription.subscribe();
  await rooms[0].subscription.ready(5000);
  await api('publish', { channel: 'js-both', data: 'back' });
  await eventually('the one who came back', () => data(rooms[0]).slice(3), ['back']);
  done('js: unsubscribe, and subscribe again');
  [ann, bob].forEach(({ centrifuge }) => centrifuge.disconnect());
}

async function whoHasAToken() {
  const claims = { sub: 'js-ann', exp: now() + 600, info: { name: 'Ann' }, channels: ['js-news'] };
  const { centrifuge, seen } = client({ token: token(claims) });
  const room = subscribe(centrifuge, 'js-token');
  centrifuge.connect();
  await room.subscription.ready(5000);
  expect(
    'rooms that the server subscribed',
    seen('subscribed')
      .map(({ channel }) => channel)
      .sort(),
    ['#js-ann', 'js-news'],
  );
  await api('publish_user', { user: 'js-ann', data: 'for ann' });
  await api('publish', { channel: 'js-news', data: 'news' });
  await eventually(
    'publications of rooms that the server subscribed',
    () => seen('publication').map(({ channel, data }) => [channel, data]),
    [
      ['#js-ann', 'for ann'],
      ['js-news', 'news'],
    ],
  );
  await room.subscription.publish('mine');
  await eventually('user and info of a publisher', () => room.publications[0]?.info, {
    client: seen('connected')[0].client,
    user: 'js-ann',
    connInfo: { name: 'Ann' },
  });
  done('js: a token names the user and puts the connection in rooms');

  await api('send', { client: seen('connected')[0].client, data: { only: 'you' } });
  await eventually('a message to one connection', () => seen('message'), [{ data: { only: 'you' } }]);
  done('js: a message to one connection');

  await api('disconnect', { user: 'js-ann', disconnect: { code: 4000, reason: 'come back' } });
  await eventually(
    'a close code that lets the SDK come back',
    () => seen('connecting').map(({ code }) => code),
    [0, 4000],
  );
  await eventually('connected again', () => seen('connected').length, 2);
  await room.subscription.ready(5000);
  await api('disconnect', { user: 'js-ann' });
  await eventually('a close code that is final', () => seen('disconnected').map(({ code }) => code), [3503]);
  done('js: a backend disconnects, for good and not for good');
}

async function badTokens() {
  const forged = client({ token: token({ sub: 'js-eve' }, 'another secret, another secret, another') });
  forged.centrifuge.connect();
  await eventually('a token with a wrong signature', () => forged.seen('disconnected').map(({ code }) => code), [3500]);
  done('js: a forged token is final');

  const old = token({ sub: 'js-ann', exp: now() - 10 });
  let asked = 0;
  const getToken = async () => {
    asked += 1;
    return token({ sub: 'js-ann' });
  };
  const expired = client({ token: old, getToken });
  const room = subscribe(expired.centrifuge, 'js-expired');
  expired.centrifuge.connect();
  await room.subscription.ready(5000);
  expect(
    'error of the expired token, tokens asked for',
    [expired.seen('error').map(({ error }) => error.code), asked],
    [[109], 1],
  );
  done('js: an expired token is replaced by a new one, subscriptions included');
  expired.centrifuge.disconnect();
}

async function aTokenThatEnds() {
  let asked = 0;
  const getToken = async () => {
    asked += 1;
    return token({ sub: 'js-ann', exp: now() + (asked === 1 ? 2 : 600) });
  };
  const { centrifuge, seen } = client({ getToken });
  const room = subscribe(centrifuge, 'js-refresh');
  centrifuge.connect();
  await room.subscription.ready(5000);
  await eventually('tokens asked for', () => asked, 2);
  await sleep(1000);
  await api('publish', { channel: 'js-refresh', data: 'still here' });
  await eventually('the room of a refreshed connection', () => data(room), ['still here']);
  expect('connections made, errors', [seen('connected').length, seen('error')], [1, []]);
  done('js: a token is refreshed before it ends');
  centrifuge.disconnect();
}

async function refusals() {
  const { centrifuge, seen } = client();
  centrifuge.connect();
  await centrifuge.ready(5000);
  const code = (promise) =>
    promise.then(
      () => 'no error',
      (error) => error.code,
    );
  for (const [channel, expected] of [
    ['#someone', 103],
    ['x'.repeat(201), 107],
  ]) {
    const refused = subscribe(centrifuge, channel);
    await eventually(`subscribe to ${channel.slice(0, 10)}`, () => refused.ended, [expected]);
  }
  expect('publish to a room that it is not in', await code(centrifuge.publish('js-elsewhere', 1)), 103);
  expect('a call that this server does not have', await code(centrifuge.rpc('nothing', {})), 108);
  const room = subscribe(centrifuge, 'js-large');
  await room.subscription.ready(5000);
  await room.subscription.publish('x'.repeat(60000));
  await eventually('a large message', () => data(room)[0]?.length, 60000);
  expect('still connected', seen('disconnected'), []);
  done('js: refusals have their codes and end nothing else');
  centrifuge.disconnect();
}

// `pings` are those of a minute: of the protocol, answered by the SDK, and of WebSocket, answered by its library.
async function idleInABusyRoom(channel, query, pings) {
  const { centrifuge, seen, log } = client({}, query);
  const room = subscribe(centrifuge, channel);
  centrifuge.connect();
  await room.subscription.ready(5000);
  const until = Date.now() + IDLE_S * 1000;
  const expected = [];
  while (Date.now() < until) {
    await api('publish', { channel, data: expected.length });
    expected.push(expected.length);
    await sleep(100);
  }
  await eventually('every message of a busy room, once and in order', () => data(room), expected);
  expect(
    'offsets of a busy room',
    room.publications.map(({ offset }) => offset),
    expected.map((n) => n + 1),
  );
  expect('connections made in a minute', [seen('connected').length, seen('connecting').length], [1, 1]);
  const count = (frames) => frames.filter((frame) => frame === '{}').length;
  expect(
    'pings and pongs of a minute',
    { asked: count(log.received), answered: count(log.sent), frames: log.pings },
    pings,
  );
  done(`js: ${IDLE_S} s idle in a busy room ${query}`);
  centrifuge.disconnect();
}

run(async () => {
  const idle = Promise.all([
    idleInABusyRoom('js-busy', '', { asked: 2, answered: 2, frames: 0 }),
    idleInABusyRoom('js-busy-frames', '?cf_ws_frame_ping_pong=true', { asked: 0, answered: 0, frames: 2 }),
  ]);
  idle.catch(() => {});
  await roomsSentWithTheConnect();
  await publishBothWays();
  await whoHasAToken();
  await badTokens();
  await aTokenThatEnds();
  await refusals();
  await idle;
});
