// What a member may publish at most, and null, as npm `centrifuge` reads it; and what it asks for in vain.
import { api, done, eventually, expect, run } from './harness.mjs';
import { client, codeOf, data, subscribe } from './sdk.mjs';

const ROOM = 'js-hostile';
const nested = (depth) => JSON.parse('['.repeat(depth) + ']'.repeat(depth));

async function allThatIsAllowedArrives() {
  const one = client();
  const room = subscribe(one.centrifuge, ROOM);
  one.centrifuge.connect();
  await room.subscription.ready(5000);
  const allowed = [nested(64), '\u{1F600}', null, { type: 'note' }];
  for (const what of allowed) await room.subscription.publish(what);
  for (const what of allowed) await api('publish', { channel: ROOM, data: what });
  await eventually('publications', () => data(room), [...allowed, ...allowed]);
  for (const what of [nested(65), '\ud800', { type: 'gap' }]) {
    expect('what is refused', await codeOf(room.subscription.publish(what)), 107);
  }
  expect('ends and errors', [one.codes('disconnected'), one.seen('error')], [[], []]);
  one.centrifuge.disconnect();
  done('js: all that is allowed arrives, and what could end another is refused');
}

async function unsupportedOptionsAreRefused() {
  const one = client();
  one.centrifuge.connect();
  await one.centrifuge.ready(5000);
  const filter = { op: '', key: 'k', cmp: 'eq', val: 'v' };
  const filtered = subscribe(one.centrifuge, 'js-filtered', { tagsFilter: filter });
  await eventually('the end of a subscription with a filter by tags', () => filtered.ended, [108]);
  expect('a publication to a map', await codeOf(one.centrifuge.mapPublish('js-map', 'k', 1)), 108);
  one.centrifuge.disconnect();
  done('js: what the SDK asks for and the server does not do is refused');
}

run(async () => {
  await allThatIsAllowedArrives();
  await unsupportedOptionsAreRefused();
});
