// npm `centrifuge`, unchanged and with its default options, against the json profile.
import { api, done, eventually, expect, now, run, sleep, token } from './harness.mjs';
import { answers, client, codeOf, data, serverSide, subscribe } from './sdk.mjs';

const IDLE_S = 60;

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
  await eventually('the one who came back', () => data(rooms[0]).slice(3), ['after', 'back']);
  done('js: unsubscribe, and subscribe again, with what was said in between');
  [ann, bob].forEach(({ centrifuge }) => centrifuge.disconnect());
}

async function clientsWithTokens() {
  const claims = { sub: 'js-ann', exp: now() + 600, info: { name: 'Ann' }, channels: ['js-news'] };
  const { centrifuge, seen, codes } = client({ token: token(claims) });
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
  await eventually('a close code that lets the SDK come back', () => codes('connecting'), [0, 4000]);
  await eventually('connected again', () => seen('connected').length, 2);
  await room.subscription.ready(5000);
  await api('disconnect', { user: 'js-ann' });
  await eventually('a close code that is final', () => codes('disconnected'), [3503]);
  done('js: a backend disconnects, for good and not for good');
}

// Two connections of one user, of which the backend puts one in a room, then both.
async function subscriptionsByTheBackend() {
  const mine = token({ sub: 'js-bob' });
  const clients = [client({ token: mine }), client({ token: mine })];
  const [one, two] = clients.map((client) => serverSide(client, 'js-given'));
  const own = subscribe(clients[0].centrifuge, 'js-own');
  clients.forEach(({ centrifuge }) => centrifuge.connect());
  await Promise.all([own.subscription.ready(5000), clients[1].centrifuge.ready(5000)]);
  const bob = { user: 'js-bob', channel: 'js-given' };
  await api('publish', { channel: 'js-given', data: 'before' });
  await api('subscribe', { ...bob, client: clients[0].seen('connected')[0].client });
  await api('publish', { channel: 'js-given', data: 'to one' });
  await api('subscribe', bob);
  await api('publish', { channel: 'js-given', data: 'to both' });
  await eventually('what came after the subscribe of the backend', () => [one, two].map(data), [
    ['to one', 'to both'],
    ['to both'],
  ]);
  const position = ({ subscribed }) => subscribed.map(({ streamPosition }) => streamPosition.offset);
  expect('the positions of a room when the backend subscribed', [one, two].map(position), [[1], [2]]);
  const asked = subscribe(clients[0].centrifuge, 'js-given');
  await eventually('subscribe to a room that it is in', () => answers(asked), [[false, false]]);
  await clients[0].centrifuge.publish('js-given', 'from a member');
  await eventually('a publication to such a room', () => data(two).at(-1), 'from a member');
  const { publications } = await clients[1].centrifuge.history('js-given', { limit: 2, reverse: true });
  expect(
    'the newest of its history',
    publications.map(({ data }) => data),
    ['from a member', 'to both'],
  );

  await api('unsubscribe', { ...bob, client: clients[1].seen('connected')[0].client });
  await api('unsubscribe', { user: 'js-bob', channel: 'js-own' });
  await eventually('the code of an unsubscribe by the backend', () => own.ended, [2000]);
  await eventually('the end of a room that the backend gave', () => [one.ended, two.ended], [0, 1]);
  expect('a publication of one that is no member', await codeOf(clients[1].centrifuge.publish('js-given', 1)), 103);

  await api('publish', { channel: 'js-given', data: 'last' });
  await eventually('who is still in', () => [asked, two].map((room) => data(room).at(-1)), ['last', 'from a member']);
  await api('disconnect', { user: 'js-bob', disconnect: { code: 3000, reason: 'come back' } });
  await eventually('a room of the connection only, after it came back', () => one.ended, 1);
  await eventually('a room that it has asked for, after it came back', () => asked.subscribed.length, 2);
  const { channels } = await api('channels', { pattern: 'js-given' });
  expect('who is in it then', channels['js-given'].num_clients, 1);
  done('js: a backend subscribes and unsubscribes, one connection or all of a user');
  clients.forEach(({ centrifuge }) => centrifuge.disconnect());
}

async function refusals() {
  const { centrifuge, seen } = client({ token: token({ sub: 'js-carl' }) });
  centrifuge.connect();
  await centrifuge.ready(5000);
  for (const [channel, expected] of [
    ['#someone', 103],
    ['#js-carl', 103],
    ['x'.repeat(201), 107],
    ['', 107],
  ]) {
    const refused = subscribe(centrifuge, channel);
    await eventually(`subscribe to ${channel.slice(0, 10)}`, () => refused.ended, [expected]);
  }
  expect('publish to a room that it is not in', await codeOf(centrifuge.publish('js-elsewhere', 1)), 103);
  expect('a call that this server does not have', await codeOf(centrifuge.rpc('nothing', {})), 108);
  const room = subscribe(centrifuge, 'js-large');
  await room.subscription.ready(5000);
  await room.subscription.publish('x'.repeat(60000));
  await eventually('a large message', () => data(room)[0]?.length, 60000);
  const error = await room.subscription.publish('x'.repeat(61000)).catch((error) => error);
  expect('a message too large, and its limit', [error.code, error.message.includes('publication_bytes')], [107, true]);
  await centrifuge.send({ to: 'nobody' });
  await room.subscription.publish('after');
  await eventually('what is said after all that', () => data(room)[1], 'after');
  expect('connections, disconnections', [seen('connected').length, seen('disconnected')], [1, []]);
  done('js: refusals have their codes and end nothing else');
  centrifuge.disconnect();
}

// `pings` are those of a minute: of the protocol, answered by the SDK, and of WebSocket, answered by its library.
async function idleInABusyRoom(channel, query, pings) {
  const { centrifuge, seen, log } = client({}, { query });
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
  await clientsWithTokens();
  await subscriptionsByTheBackend();
  await refusals();
  await idle;
});
