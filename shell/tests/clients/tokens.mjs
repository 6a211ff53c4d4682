// Tokens of connections and of rooms, as npm `centrifuge` uses them: refused, renewed, and come to their end.
// The server lets nobody into a room by its name alone, and its expiry_grace is 1 s. It allows for no difference of clocks.
import { Server, api, done, eventually, expect, now, run, sleep, token } from './harness.mjs';
import { answers, client, data, serverSide, subscribe } from './sdk.mjs';

const LONG_S = 600;
const SHORT_S = 3;
const FORGED = 'another secret, another secret, another';

// A getToken that goes through these answers; a function is called, an error is thrown.
function tokens(...answers) {
  const getToken = async () => {
    const answer = answers[Math.min(getToken.asked, answers.length - 1)];
    getToken.asked += 1;
    if (answer instanceof Error) throw answer;
    return answer();
  };
  getToken.asked = 0;
  return getToken;
}

const lasting = (seconds, claims) => () => token({ exp: now() + seconds, ...claims });

async function refused() {
  const forged = client({ token: token({ sub: 'js-eve' }, FORGED) });
  forged.centrifuge.connect();
  await eventually('a token with a wrong signature', () => forged.codes('disconnected'), [3500]);
  done('js: a forged token is final');

  const getToken = tokens(lasting(LONG_S, { sub: 'js-ann', channels: ['js-claimed'] }));
  const expired = client({ token: token({ sub: 'js-ann', exp: now() - 20 }), getToken });
  const room = serverSide(expired, 'js-claimed');
  expired.centrifuge.connect();
  await eventually('the room of the new token', () => answers(room), [[false, false]]);
  const errors = expired.seen('error').map(({ error }) => error.code);
  expect('error of the expired token, tokens asked for', [errors, getToken.asked], [[109], 1]);
  done('js: an expired token is replaced by a new one');
  expired.centrifuge.disconnect();
}

async function renewed() {
  const claims = { sub: 'js-renews', channels: ['js-renews-in'] };
  const getToken = tokens(lasting(SHORT_S, claims), lasting(SHORT_S, claims), lasting(LONG_S, claims));
  const one = client({ getToken });
  const room = serverSide(one, 'js-renews-in');
  one.centrifuge.connect();
  await eventually('tokens asked for', () => getToken.asked, 3);
  await sleep((SHORT_S + 1) * 1000);
  await api('publish', { channel: 'js-renews-in', data: 'still here' });
  await eventually('the room of a refreshed connection', () => data(room), ['still here']);
  expect('connections made, errors', [one.seen('connected').length, one.seen('error')], [1, []]);
  done('js: a token is refreshed when it ends, twice');
  one.centrifuge.disconnect();
}

// A token that takes a right away, and gives another.
async function renewedWithOtherRooms() {
  const named = (seconds, n, ...channels) => lasting(seconds, { sub: 'js-moves', info: { n }, channels });
  const getToken = tokens(named(SHORT_S, 1, 'js-old', 'js-stays'), named(LONG_S, 2, 'js-stays', 'js-new'));
  const one = client({ getToken });
  const [old, kept, fresh, placed] = ['old', 'stays', 'new', 'placed'].map((name) => serverSide(one, `js-${name}`));
  one.centrifuge.connect();
  await eventually('the rooms of the first token', () => [old, kept, fresh].map((room) => room.subscribed.length), [1, 1, 0]);
  await api('subscribe', { user: 'js-moves', channel: 'js-placed' });
  await eventually('the room that the token does not give any more', () => old.ended, 1);
  await eventually('the room that it gives now', () => fresh.subscribed.map((answer) => answer.positioned), [true]);
  const { connections } = await api('connections', { user: 'js-moves' });
  const rooms = Object.values(connections).flatMap((found) => found.channels).sort();
  expect('rooms of the user', rooms, ['#js-moves', 'js-new', 'js-placed', 'js-stays']);
  for (const name of ['old', 'stays', 'new', 'placed']) await api('publish', { channel: `js-${name}`, data: name });
  await eventually('the last of them', () => data(placed), ['placed']);
  expect('what came of the others', [old, kept, fresh].map(data), [[], ['stays'], ['new']]);
  expect('the kept room was joined once and never left', [kept.subscribed.length, kept.ended], [1, 0]);
  const { presence } = await api('presence', { channel: 'js-stays' });
  expect('who it is there', Object.values(presence).map((info) => info.conn_info), [{ n: 2 }]);
  expect('connections made, errors', [one.seen('connected').length, one.seen('error')], [1, []]);
  done('js: a refreshed token counts whole: rooms given, kept and taken away, and the info');
  one.centrifuge.disconnect();
}

// An application server whose clock is ahead, by little and by much.
async function early() {
  const ahead = (seconds) => lasting(LONG_S, { sub: 'js-early', nbf: now() + seconds });
  const server = await new Server().ready;
  const one = client({ token: ahead(2)() }, { at: server.address });
  const late = client({ getToken: tokens(ahead(60), lasting(LONG_S, { sub: 'js-early' })) });
  one.centrifuge.connect();
  late.centrifuge.connect();
  await eventually('a token of a clock that is 2 s ahead', () => one.seen('connected').length, 1);
  await eventually('the token after one that is 60 s ahead', () => late.seen('connected').length, 1);
  const errors = [one, late].map(({ seen }) => seen('error').map(({ error }) => error.code));
  expect('how they were told', [errors, late.codes('disconnected')], [[[], [109]], []]);
  const forRoom = (nbf) => lasting(LONG_S, { sub: 'js-early', channel: 'js-early', nbf });
  const [two, room] = await inRooms('js-early', { 'js-early': { getToken: tokens(forRoom(now() + 60), forRoom(0)) } });
  await eventually('the same for a room', () => room.subscribed.length, 1);
  expect('it was never over', room.ended, []);
  done('js: a token that is not valid yet is waited for, and one within the leeway is valid');
  for (const { centrifuge } of [one, late, two]) centrifuge.disconnect();
  await server.stop();
}

async function notRenewed() {
  const claims = { sub: 'js-late', channels: ['js-late-in'] };
  const getToken = tokens(lasting(SHORT_S, claims), new Error('not now'), lasting(LONG_S, claims));
  const one = client({ getToken });
  const room = serverSide(one, 'js-late-in');
  await api('publish', { channel: 'js-late-in', data: 'before' });
  one.centrifuge.connect();
  await eventually('the code of a connection that expired', () => one.codes('connecting'), [0, 3005]);
  await api('publish', { channel: 'js-late-in', data: 'meanwhile' });
  await eventually('what it missed', () => data(room), ['meanwhile']);
  expect('asked to recover, recovered', answers(room), [[false, false], [true, true]]);
  done('js: a token that is not refreshed in time ends the connection with 3005, and a new one brings it back');
  one.centrifuge.disconnect();
}

// A backend that hands out a token from a cache.
async function renewedTooLate() {
  const claims = { sub: 'js-cached' };
  const getToken = tokens(lasting(SHORT_S, claims), lasting(-20, claims), lasting(LONG_S, claims));
  const { centrifuge, codes, seen } = client({ getToken });
  centrifuge.connect();
  await eventually('how a refresh with an expired token ends', () => codes('connecting'), [0, 3005]);
  await eventually('connected again', () => seen('connected').length, 2);
  const forRoom = (seconds) => lasting(seconds, { sub: 'js-cached', channel: 'js-cached' });
  const late = tokens(forRoom(SHORT_S), forRoom(-5), forRoom(LONG_S));
  const [one, room] = await inRooms('js-cached', { 'js-cached': { getToken: late } });
  await eventually('how the same ends for a room', () => room.subscribing, [0, 2501]);
  await eventually('subscribed again', () => room.subscribed.length, 2);
  expect('ends', [codes('disconnected'), room.ended, one.seen('disconnected')], [[], [], []]);
  done('js: a refresh with an expired token brings a new one, for the connection and for a room');
  centrifuge.disconnect();
  one.centrifuge.disconnect();
}

async function renewedWrongly() {
  for (const [what, wrong, code] of [
    ['of somebody else', lasting(LONG_S, { sub: 'js-other' }), 3501],
    ['forged', () => token({ sub: 'js-wrong' }, FORGED), 3500],
  ]) {
    const { centrifuge, codes } = client({ getToken: tokens(lasting(SHORT_S, { sub: 'js-wrong' }), wrong) });
    centrifuge.connect();
    await eventually(`a refresh with a token ${what}`, () => codes('disconnected'), [code]);
  }
  done('js: a refresh with a wrong token is final');
}

// A connection, and for each of these tokens a subscription of its own.
async function inRooms(user, options) {
  const one = client({ token: token({ sub: user }) });
  const rooms = Object.entries(options).map(([channel, options]) => subscribe(one.centrifuge, channel, options));
  one.centrifuge.connect();
  await one.centrifuge.ready(5000);
  return [one, ...rooms];
}

async function roomTokens() {
  const forRoom = (channel, more) => lasting(LONG_S, { sub: 'js-guest', channel, ...more });
  const [one, room, ...others] = await inRooms('js-guest', {
    'js-lounge': { getToken: tokens(forRoom('js-lounge', { info: { seat: 4 } })) },
    'js-without': {},
    'js-forged': { token: token({ sub: 'js-guest', channel: 'js-forged' }, FORGED) },
    'js-of-another-room': { token: forRoom('js-lounge')() },
    'js-of-another-user': { token: token({ sub: 'js-other', channel: 'js-of-another-user' }) },
    'js-of-a-connection': { token: token({ sub: 'js-guest' }) },
  });
  await room.subscription.ready(5000);
  for (const { subscription, ended } of others) {
    await eventually(`the code of ${subscription.channel}`, () => ended, [103]);
  }
  await room.subscription.publish('hello');
  await eventually('the info of a room token', () => room.publications[0]?.info.chanInfo, { seat: 4 });
  const { clients } = await room.subscription.presence();
  expect('the same in presence', Object.values(clients)[0].chanInfo, { seat: 4 });
  done('js: room tokens let in, and only where they belong');
  one.centrifuge.disconnect();
}

async function roomTokensThatEnd() {
  const short = (channel) => lasting(SHORT_S, { sub: 'js-comes', channel });
  const long = (channel) => lasting(LONG_S, { sub: 'js-comes', channel });
  const failing = new Error('not now');
  const renews = tokens(short('js-kept'), short('js-kept'), long('js-kept'));
  const late = tokens(short('js-regained'), failing, long('js-regained'));
  await api('publish', { channel: 'js-regained', data: 'before' });
  const [one, kept, regained] = await inRooms('js-comes', {
    'js-kept': { getToken: renews },
    'js-regained': { getToken: late },
  });
  await regained.subscription.ready(5000);
  await eventually('the code of a room token that ended', () => regained.subscribing, [0, 2501]);
  await api('publish', { channel: 'js-regained', data: 'meanwhile' });
  await eventually('what was missed without a token', () => data(regained), ['meanwhile']);
  expect('asked to recover, recovered', answers(regained), [[false, false], [true, true]]);
  await eventually('tokens asked for', () => renews.asked, 3);
  await sleep((SHORT_S + 1) * 1000);
  await kept.subscription.publish('still here');
  await eventually('a room whose token was refreshed', () => data(kept), ['still here']);
  expect('how often it was subscribed', [kept.subscribed.length, kept.subscribing], [1, [0]]);
  expect('connections made', one.seen('connected').length, 1);
  done('js: a room token is refreshed when it ends; where it is not, the room is left with 2501');
  one.centrifuge.disconnect();
}

run(() => Promise.all([refused(), renewed(), renewedWithOtherRooms(), early(), notRenewed(), renewedTooLate(), renewedWrongly(), roomTokens(), roomTokensThatEnd()]));
