// Two thousand clients of a server that stops move to a second one that admits no more than fifty at once: npm `centrifuge`
// with its default options behind a balancer that asks for `/health/ready`. In the end all of them are there, each with every
// message that the second server has, in order, once, and none was refused.
import { connect, createServer } from 'node:net';
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';
import { Server, done, api, eventually, expect, run, sleep } from './harness.mjs';

const CLIENTS = 2000;
const ROOM = 'moving';
const DRAIN = ['--drain-delay', '3s', '--drain-timeout', '60s', '--dev', 'false', '--allow-anonymous', 'true'];
const NARROW = ['--new-connections', '100/s burst 50', '--new-connections-per-ip', 'off'];
const PROBES_MS = 500;

// A balancer of TCP: new sockets go to the first server that was ready when it was asked last.
async function balance(servers) {
  let chosen = servers[0];
  const isReady = async ({ address }) => (await fetch(`http://${address}/health/ready`).catch(() => ({}))).ok;
  const probe = setInterval(async () => {
    for (const server of servers) {
      if (await isReady(server)) {
        chosen = server;
        return;
      }
    }
  }, PROBES_MS);
  const listener = createServer((client) => {
    const [host, port] = chosen.address.split(':');
    const server = connect(Number(port), host);
    client.pipe(server).pipe(client);
    for (const [one, other] of [[client, server], [server, client]]) one.on('error', () => other.destroy());
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const close = () => {
    clearInterval(probe);
    listener.close();
  };
  return { address: `127.0.0.1:${listener.address().port}`, close };
}

function client(address) {
  const heard = { received: [], codes: [], connections: 0 };
  const centrifuge = new Centrifuge(`ws://${address}/connection/websocket`, { websocket: WebSocket });
  centrifuge.on('connected', () => (heard.connections += 1));
  centrifuge.on('connecting', ({ code }) => heard.codes.push(code));
  const subscription = centrifuge.newSubscription(ROOM);
  subscription.on('publication', ({ data }) => heard.received.push(data));
  subscription.subscribe();
  centrifuge.connect();
  return { heard, centrifuge };
}

const members = (server) => async () => (await api('presence_stats', { channel: ROOM }, server.address)).num_clients;

run(async () => {
  const unlimited = ['--new-connections', 'off', '--new-connections-per-ip', 'off'];
  const [first, second] = await Promise.all([
    new Server(...DRAIN, ...unlimited).ready,
    new Server(...DRAIN, ...NARROW).ready,
  ]);
  const balancer = await balance([first, second]);
  const clients = Array.from({ length: CLIENTS }, () => client(balancer.address));
  await eventually('members of the first server', members(first), CLIENTS, 60000);

  const begun = performance.now();
  const stopped = first.stop();
  const published = [];
  let moved = 0;
  while (moved < CLIENTS) {
    const number = published.length;
    await api('publish', { channel: ROOM, data: number }, second.address);
    published.push(number);
    await sleep(200);
    moved = await members(second)();
    expect('it does not take longer than the drain', performance.now() - begun < 90000, true);
  }
  await stopped;
  const seconds = ((performance.now() - begun) / 1000).toFixed(0);
  done(`${CLIENTS} clients are at the second server after ${seconds} s, and the first has ended with exit code 0`);

  const last = published.length;
  await api('publish', { channel: ROOM, data: last }, second.address);
  published.push(last);
  const lacking = () => clients.filter(({ heard }) => heard.received.at(-1) !== last).length;
  await eventually('clients without the last message', lacking, 0, 20000);
  for (const { heard } of clients) {
    expect('what came from the first message on', heard.received, published.slice(published.indexOf(heard.received[0])));
    expect('why it connected', heard.codes, [0, 3001]);
    expect('connections', heard.connections, 2);
  }
  const health = await (await fetch(`http://${second.address}/health`, { headers: { 'X-API-Key': process.env.CHECK_API_KEY } })).json();
  expect('refusals by limits', health.totals.limits, {});
  done('each had every message of the second server from its coming on, and none was refused');
  for (const { centrifuge } of clients) centrifuge.disconnect();
  balancer.close();
  await second.stop();
});
