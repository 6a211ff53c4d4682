// Who is in a room and what was said in it, as npm `centrifuge` tells.
import { address, api, done, eventually, expect, run, token } from './harness.mjs';
import { client, codeOf, data, subscribe } from './sdk.mjs';

const ROOM = 'js-present';

async function member(user, options) {
  const one = client(user ? { token: token({ sub: user, info: { name: user } }) } : {});
  const room = subscribe(one.centrifuge, ROOM, options);
  one.centrifuge.connect();
  await room.subscription.ready(5000);
  const id = one.seen('connected')[0].client;
  return { ...one, room, info: { client: id, user, connInfo: user ? { name: user } : undefined } };
}

// Of all the ways in which the SDK names them.
const who = ({ client, user, connInfo }) => ({ client, user, connInfo });

async function joinsLeavesAndPresence() {
  const ann = await member('js-ann', { joinLeave: true });
  const again = await member('js-ann');
  const bob = await member('js-bob', { joinLeave: true });
  const anonymous = await member('');
  const everyone = [ann, again, bob, anonymous];
  const { clients } = await ann.room.subscription.presence();
  const seen = Object.fromEntries(Object.entries(clients).map(([id, info]) => [id, who(info)]));
  expect('presence', seen, Object.fromEntries(everyone.map(({ info }) => [info.client, info])));
  const stats = { numClients: 4, numUsers: 3 };
  expect('presence_stats', await bob.room.subscription.presenceStats(), stats);
  expect('presence of the API', (await api('presence_stats', { channel: ROOM })).num_clients, 4);

  anonymous.centrifuge.disconnect();
  again.room.subscription.unsubscribe();
  const left = [anonymous, again].map(({ info }) => ['leave', info]);
  const heard = ({ room }) => room.comings.map(([what, info]) => [what, who(info)]);
  const sorted = (comings) => comings.sort(([, a], [, b]) => a.client.localeCompare(b.client));
  const joined = (members) => members.map(({ info }) => ['join', info]);
  await eventually('joins, as ann was told', () => heard(ann).slice(0, 4), joined(everyone));
  await eventually('leaves, as ann was told', () => sorted(heard(ann).slice(4)), sorted(left));
  await eventually('joins, as bob was told', () => heard(bob).slice(0, 2), joined([bob, anonymous]));
  await eventually('leaves, as bob was told', () => sorted(heard(bob).slice(2)), sorted(left));
  expect('what one is told that did not ask', again.room.comings, []);
  expect('presence_stats of who stayed', await ann.room.subscription.presenceStats(), { numClients: 2, numUsers: 2 });
  const socket = new WebSocket(`ws://${address}/ws/${ROOM}?token=${token({ sub: 'js-plain' })}`);
  await eventually('a plain client that comes', () => heard(ann).at(-1)[1].user, 'js-plain');
  socket.close();
  await eventually('a plain client that goes', () => heard(ann).at(-1)[0], 'leave');
  for (const call of ['presence', 'presenceStats']) {
    expect(`${call} of a room that it is not in`, await codeOf(again.centrifuge[call](ROOM)), 103);
  }
  done('js: presence, presence_stats, join and leave among four clients');
  everyone.forEach(({ centrifuge }) => centrifuge.disconnect());
}

async function historyRequests() {
  const one = client({ token: token({ sub: 'js-reader' }) });
  const room = subscribe(one.centrifuge, 'js-said');
  one.centrifuge.connect();
  await room.subscription.ready(5000);
  for (const n of [1, 2, 3, 4]) await api('publish', { channel: 'js-said', data: n, tags: { n: `${n}` } });
  await room.subscription.publish(5);
  await eventually('publications', () => data(room), [1, 2, 3, 4, 5]);
  const { epoch } = room.subscribed[0].streamPosition;
  const since = (offset) => ({ offset, epoch });
  const history = (options) => room.subscription.history(options);
  for (const [options, expected] of [
    [{}, []],
    [{ limit: 2 }, [1, 2]],
    [{ limit: -1 }, [1, 2, 3, 4, 5]],
    [{ limit: 100, since: since(3) }, [4, 5]],
    [{ limit: 1, since: since(1) }, [2]],
    [{ limit: 100, since: since(5) }, []],
    [{ limit: 2, reverse: true }, [5, 4]],
    [{ limit: 100, since: since(3), reverse: true }, [2, 1]],
    [{ limit: 100, since: { offset: 3, epoch: '' } }, [4, 5]],
  ]) {
    const result = await history(options);
    const seen = { ...result, publications: data(result) };
    expect(`history ${JSON.stringify(options)}`, seen, { publications: expected, offset: 5, epoch });
  }
  const [first] = (await history({ limit: 1 })).publications;
  const info = { client: one.seen('connected')[0].client, user: 'js-reader', connInfo: undefined };
  const [last] = (await history({ limit: 1, reverse: true })).publications;
  expect('a publication of the API', [first.offset, first.tags, first.info], [1, { n: '1' }, undefined]);
  expect('a publication of a client', [last.offset, who(last.info)], [5, info]);
  for (const [what, expected, wrong] of [
    ['another epoch', 112, () => history({ limit: 1, since: { offset: 1, epoch: 'other' } })],
    ['back from the beginning', 107, () => history({ limit: 1, since: since(0), reverse: true })],
    ['a room that it is not in', 103, () => one.centrifuge.history('js-elsewhere', { limit: 1 })],
  ]) {
    expect(`history: ${what}`, await codeOf(wrong()), expected);
  }
  await api('history_remove', { channel: 'js-said' });
  const removed = await history({ limit: 100 });
  expect('history after history_remove', removed, { publications: [], offset: 5, epoch });
  done('js: history with limit, since and reverse, and its errors');
  one.centrifuge.disconnect();
}

run(async () => {
  await joinsLeavesAndPresence();
  await historyRequests();
});
