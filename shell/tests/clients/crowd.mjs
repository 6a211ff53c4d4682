// A thousand clients in one room, half of them npm `centrifuge` with its default options, half plain ones that come
// back with `?since=`. Two hundred are cut off at random every second, for a minute, while a publisher runs. In the end
// every one of them has every message, in order, once.
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';
import { follow } from './follower.mjs';
import { address, api, done, eventually, expect, run, sleep } from './harness.mjs';

const EACH = 500;
const CUT_PER_SECOND = 200;
const SECONDS = 60;
const MESSAGES_PER_SECOND = 20;
const ROOM = 'crowd';

function sdk() {
  const heard = { received: [], gaps: 0, connections: 0, socket: undefined };
  class Noted extends WebSocket {
    constructor(...args) {
      super(...args);
      this.on('open', () => {
        heard.connections += 1;
        heard.socket = this;
      });
      this.on('close', () => (heard.socket = undefined));
    }
  }
  const centrifuge = new Centrifuge(`ws://${address}/connection/websocket`, { websocket: Noted });
  const subscription = centrifuge.newSubscription(ROOM);
  subscription.on('publication', ({ data }) => heard.received.push(data));
  subscription.on('subscribed', ({ wasRecovering, recovered }) => {
    if (wasRecovering && !recovered) heard.gaps += 1;
  });
  subscription.subscribe();
  centrifuge.connect();
  return heard;
}

// Cuts off some of those that are connected: how many these were.
function cut(crowd, count) {
  const connected = crowd.filter(({ socket }) => socket);
  let cuts = 0;
  for (; cuts < count && connected.length > 0; cuts += 1) {
    const [one] = connected.splice(Math.floor(Math.random() * connected.length), 1);
    one.socket.terminate();
    one.socket = undefined;
  }
  return cuts;
}

const total = (crowd, count) => crowd.reduce((sum, one) => sum + count(one), 0);

run(async () => {
  const crowd = [];
  for (let n = 0; n < EACH; n += 1) crowd.push(sdk(), follow(address, ROOM, WebSocket));
  const members = async () => (await api('presence_stats', { channel: ROOM })).num_clients;
  await eventually('members', members, 2 * EACH, 30000);
  const [begun, cpu] = [performance.now(), process.cpuUsage()];

  const expected = [];
  let cuts = 0;
  let publishing = true;
  const cutting = (async () => {
    for (let second = 0; second < SECONDS; second += 1) {
      cuts += cut(crowd, CUT_PER_SECOND);
      await sleep(1000);
    }
    publishing = false;
  })();
  while (publishing) {
    await api('publish', { channel: ROOM, data: expected.length });
    expected.push(expected.length);
    await sleep(Math.max(0, (expected.length * 1000) / MESSAGES_PER_SECOND - (performance.now() - begun)));
  }
  await cutting;
  const complete = () => crowd.filter(({ received }) => received.length >= expected.length).length;
  await eventually('clients that have as many messages as were sent', complete, 2 * EACH, 30000);
  for (const { received } of crowd) expect('the messages of one client', received, expected);
  expect('gaps', total(crowd, ({ gaps }) => gaps), 0);
  await eventually('connections made', () => total(crowd, ({ connections }) => connections), 2 * EACH + cuts);
  const used = process.cpuUsage(cpu);
  const seconds = (microseconds) => (microseconds / 1e6).toFixed(1);
  const took = `in ${seconds((performance.now() - begun) * 1000)} s, ${seconds(used.user + used.system)} s of CPU here`;
  done(`crowd: ${expected.length} messages to ${2 * EACH} clients, ${cuts} cuts, ${took}`);
});
