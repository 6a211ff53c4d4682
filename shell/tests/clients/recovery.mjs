// npm `centrifuge`, unchanged and with its default options, loses its connection while messages fly and gets every
// one of them, once and in order; where the server cannot give them any more, it says so.
import { Server, api, done, eventually, expect, run, sleep, token } from './harness.mjs';
import { Proxy } from './proxy.mjs';
import { answers, client, data, serverSide, subscribe } from './sdk.mjs';

const CUTS = 4;
const BETWEEN_CUTS_MS = 800;
const PAUSE_MS = 25;
// One more than a room retains.
const TOO_MANY = 101;
// Asked to recover, recovered: at first, and when it was too late.
const NOT_RECOVERED = [
  [false, false],
  [true, false],
];

// A client behind a proxy, in a room of its own choice, one of its token's, and its user's personal one.
async function behind(proxy, user) {
  const names = { own: `${user}-own`, claimed: `${user}-claimed`, personal: `#${user}` };
  const one = client({ token: token({ sub: user, channels: [names.claimed] }) }, { at: proxy.address });
  const own = subscribe(one.centrifuge, names.own);
  const rooms = { own, claimed: serverSide(one, names.claimed), personal: serverSide(one, names.personal) };
  one.centrifuge.connect();
  await own.subscription.ready(5000);
  const publish = (data) =>
    Promise.all([
      api('broadcast', { channels: [names.own, names.claimed], data }, proxy.target),
      api('publish_user', { user, data }, proxy.target),
    ]);
  return { ...one, rooms, publish };
}

const each = (rooms, look) => Object.fromEntries(Object.entries(rooms).map(([name, room]) => [name, look(room)]));
const same = (value) => ({ own: value, claimed: value, personal: value });
const upTo = (count) => Array.from({ length: count }, (_, n) => n);

async function everyMessage(proxy, user, what, cut) {
  const one = await behind(proxy, user);
  let [sent, missed] = [0, 0];
  let publishing = true;
  const publisher = (async () => {
    for (; publishing; await sleep(PAUSE_MS)) await one.publish(sent++);
  })();
  for (let cuts = 0; cuts < CUTS; cuts += 1) {
    await sleep(BETWEEN_CUTS_MS);
    await cut(user);
    await eventually('the client notices', () => one.seen('connecting').length, cuts + 2);
    missed -= sent;
    await eventually('connections made', () => one.seen('connected').length, cuts + 2);
    missed += sent;
  }
  publishing = false;
  await publisher;
  await eventually(`every message, once and in order, ${what}`, () => each(one.rooms, data), same(upTo(sent)));
  const offsets = (room) => room.publications.map(({ offset }) => offset);
  expect('their offsets', each(one.rooms, offsets), same(upTo(sent).map((n) => n + 1)));
  const recovered = [[false, false], ...Array(CUTS).fill([true, true])];
  expect('asked to recover, recovered', each(one.rooms, answers), same(recovered));
  expect(`messages that it missed at first are some: ${missed}`, missed > 0, true);
  done(`js: ${what} ${CUTS} times, ${sent} messages arrive in each of three rooms, ${missed} of them late`);
  one.centrifuge.disconnect();
}

// What is published while the client cannot come back.
async function meanwhile(proxy, one, messages) {
  proxy.refusing = true;
  proxy.cut();
  await eventually('the client notices', () => one.centrifuge.state, 'connecting');
  for (const message of messages) await one.publish(message);
  proxy.refusing = false;
}

// From the position that an unsuccessful recovery left it at, the client goes on without a repeat, and recovers.
async function goesOn(proxy, one, position, what) {
  const streamPosition = ({ subscribed }) => subscribed.at(-1).streamPosition;
  expect(`epoch and position ${what}`, each(one.rooms, streamPosition), each(one.rooms, position));
  const before = one.rooms.own.publications.length;
  const after = (room) => data(room).slice(before);
  await one.publish('next');
  await eventually(`what came ${what}`, () => each(one.rooms, after), same(['next']));
  await meanwhile(proxy, one, ['a', 'b']);
  await eventually(`recovered ${what}`, () => each(one.rooms, after), same(['next', 'a', 'b']));
  expect('asked to recover, recovered', each(one.rooms, answers), same([...NOT_RECOVERED, [true, true]]));
}

// The application leaves the room as soon as it is told that it is subscribed again, and joins it once more.
async function leftAgain() {
  const one = client();
  const room = subscribe(one.centrifuge, 'js-again');
  const publish = (data) => api('publish', { channel: 'js-again', data });
  one.centrifuge.connect();
  await room.subscription.ready(5000);
  await publish('first');
  await eventually('the first message', () => data(room), ['first']);
  room.subscription.unsubscribe();
  for (const message of ['a', 'b']) await publish(message);
  room.subscription.once('subscribed', () => room.subscription.unsubscribe());
  room.subscription.subscribe();
  await eventually('how often it left', () => room.ended.length, 2);
  room.subscription.subscribe();
  await eventually('what is recovered in the end', () => data(room), ['first', 'a', 'b']);
  done('js: a recovery that is given up loses nothing');
  one.centrifuge.disconnect();
}

async function movedOn(proxy) {
  const one = await behind(proxy, 'js-late');
  const { epoch } = one.rooms.own.subscribed[0].streamPosition;
  expect('where an empty log is', one.rooms.own.subscribed[0].streamPosition, { epoch, offset: 0 });
  await one.publish('first');
  await eventually('the first message', () => each(one.rooms, data), same(['first']));
  await meanwhile(proxy, one, upTo(TOO_MANY));
  await eventually('asked to recover, recovered', () => each(one.rooms, answers), same(NOT_RECOVERED));
  const position = ({ subscribed }) => ({ ...subscribed[0].streamPosition, offset: TOO_MANY + 1 });
  await goesOn(proxy, one, position, 'after history had moved on');
  done('js: history had moved on: not recovered, and on from there');
  one.centrifuge.disconnect();
}

// An application that loads its state itself is asked to load it again, instead of being told that it missed something.
async function loadedAgain(proxy) {
  const room = 'js-loaded';
  await api('publish', { channel: room, data: 'before' });
  let loads = 0;
  const getState = async () => {
    loads += 1;
    const { offset, epoch } = await api('history', { channel: room });
    return { offset, epoch };
  };
  const one = client({}, { at: proxy.address });
  const heard = subscribe(one.centrifuge, room, { getState });
  one.centrifuge.connect();
  await heard.subscription.ready(5000);
  const publish = (data) => api('publish', { channel: room, data });
  await meanwhile(proxy, { ...one, publish }, ['short']);
  await eventually('what was recovered', () => data(heard), ['short']);
  expect('states loaded after a short cut', loads, 1);
  await meanwhile(proxy, { ...one, publish }, upTo(TOO_MANY));
  await eventually('states loaded after history had moved on', () => loads, 2);
  await heard.subscription.ready(5000);
  await publish('next');
  await eventually('what came after that', () => data(heard), ['short', 'next']);
  expect('asked to recover, recovered', answers(heard), Array(3).fill([true, true]));
  done('js: history had moved on: the state of the application is loaded again');
  one.centrifuge.disconnect();
}

async function restarted(proxy) {
  const servers = await Promise.all([new Server().ready, new Server().ready]);
  proxy.target = servers[0].address;
  const one = await behind(proxy, 'js-stays');
  for (const message of upTo(3)) await one.publish(message);
  await eventually('the messages of the first server', () => each(one.rooms, data), same(upTo(3)));
  const [first] = one.rooms.own.subscribed;
  proxy.target = servers[1].address;
  for (const message of upTo(5)) await one.publish(message);
  await servers[0].stop();
  await eventually('asked to recover, recovered', () => each(one.rooms, answers), same(NOT_RECOVERED));
  expect('why it connected again', one.codes('connecting')[1], 3001);
  const again = one.rooms.own.subscribed[1];
  expect('another epoch', again.streamPosition.epoch !== first.streamPosition.epoch, true);
  const position = ({ subscribed }) => ({ epoch: subscribed[1].streamPosition.epoch, offset: 5 });
  await goesOn(proxy, one, position, 'after a restart');
  done('js: the server was started again: not recovered, and on from there');
  one.centrifuge.disconnect();
  await servers[1].stop();
}

// How many messages came before a client that is alone in its rooms is cut off, whether they have aged out by then, and
// how many it misses.
const ALONE = [
  [1, false, 2],
  [0, false, 2],
  [0, false, 0],
  [1, true, 0],
  [1, true, 2],
];
const HISTORY_AGE_MS = 2000;

async function alone(proxy) {
  const server = await new Server('--history-age', `${HISTORY_AGE_MS}ms`, '--log-memory', '1m').ready;
  proxy.target = server.address;
  for (const [before, aged, missed] of ALONE) {
    const what = `${before} before${aged ? ' that aged out' : ''}, ${missed} missed`;
    const one = await behind(proxy, `js-alone-${before}${aged ? 'a' : ''}${missed}`);
    for (const message of upTo(before)) await one.publish(message);
    await eventually(`what came before: ${what}`, () => each(one.rooms, data), same(upTo(before)));
    if (aged) await sleep(HISTORY_AGE_MS + 500);
    const all = upTo(before + missed);
    await meanwhile(proxy, one, all.slice(before));
    const recovered = same([NOT_RECOVERED[0], [true, true]]);
    await eventually(`asked to recover, recovered: ${what}`, () => each(one.rooms, answers), recovered);
    await eventually(`what came in all: ${what}`, () => each(one.rooms, data), same(all));
    one.centrifuge.disconnect();
  }
  done(`js: whoever was alone in its rooms recovers, in ${ALONE.length} cases`);
  await server.stop();
}

// More than a connect reply holds was missed in all rooms together: the client is back at once, and stays.
async function crowded(proxy, user, count, publishes) {
  const rooms = upTo(count).map((n) => `${user}-${n}`);
  const one = client({ token: token({ sub: user, channels: rooms }) }, { at: proxy.address });
  one.centrifuge.setMaxListeners(0);
  const heard = rooms.map((room) => serverSide(one, room));
  one.centrifuge.connect();
  await eventually('rooms joined', () => heard.filter((room) => answers(room).length === 1).length, count);
  proxy.refusing = true;
  proxy.cut();
  await eventually('the client notices', () => one.centrifuge.state, 'connecting');
  await publishes(rooms);
  proxy.refusing = false;
  await eventually('rooms joined again', () => heard.filter((room) => answers(room).length === 2).length, count);
  const back = heard.filter((room) => answers(room)[1][1]);
  expect('rooms that were recovered, each with all of it', back.map((room) => data(room).length), [99, 99, 99]);
  await api('broadcast', { channels: rooms, data: 'next' }, proxy.target);
  await eventually('what comes next', () => heard.filter((room) => data(room).at(-1) === 'next').length, count);
  expect('connections made', one.seen('connected').length, 2);
  done(`js: ${count} rooms with 99 messages each are not too much to come back to`);
  one.centrifuge.disconnect();
}

// 99 messages to each room from a client that is in all of them.
async function fromAClient(rooms) {
  const one = client();
  const all = rooms.map((room) => subscribe(one.centrifuge, room).subscription);
  one.centrifuge.connect();
  await Promise.all(all.map((subscription) => subscription.ready(5000)));
  for (let n = 0; n < 99; n += 1) await Promise.all(all.map((subscription) => subscription.publish({ n })));
  one.centrifuge.disconnect();
}

async function fromABackend(rooms) {
  for (let n = 0; n < 99; n += 1) await api('broadcast', { channels: rooms, data: n });
}

run(async () => {
  const proxies = await Promise.all(upTo(9).map(() => new Proxy().listen()));
  const closing = (code) => (user) => api('disconnect', { user, disconnect: { code, reason: 'come back' } });
  await Promise.all([
    everyMessage(proxies[0], 'js-closed', 'closed by the server', closing(3000)),
    everyMessage(proxies[1], 'js-cut', 'cut off', () => proxies[1].cut()),
    everyMessage(proxies[2], 'js-midway', 'cut off in the middle of a frame', () => proxies[2].cutMidway()),
    movedOn(proxies[3]),
    restarted(proxies[4]),
    loadedAgain(proxies[5]),
    alone(proxies[6]),
    crowded(proxies[7], 'js-crowd', 127, fromABackend),
    crowded(proxies[8], 'js-chat', 60, fromAClient),
    leftAgain(),
  ]);
});
