// Node's own WebSocket, which behaves as a browser's, against the plain profile and the routes of ansflow.toml.
import { follow } from './follower.mjs';
import { address, api, done, eventually, expect, run, sleep, token } from './harness.mjs';
import { Proxy } from './proxy.mjs';

const IDLE_S = 60;
const CUTS = 5;
const BETWEEN_CUTS_MS = 600;

// A connection with everything that it received, as parsed JSON.
async function connect(path, protocols) {
  const socket = new WebSocket(`ws://${address}${path}`, protocols);
  const heard = { socket, frames: [], closed: undefined };
  socket.onmessage = (event) => heard.frames.push(JSON.parse(event.data));
  socket.onclose = (event) => (heard.closed = event.code);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = (event) => reject(new Error(`${path}: ${event.message ?? 'the connection failed'}`));
  });
  await eventually(`the greeting of ${path}`, () => heard.frames[0]?.type, 'connection');
  heard.greeting = heard.frames.shift();
  return heard;
}

const withoutTimestamp = ({ timestamp, ...rest }) => rest;

async function routes() {
  const routed = {
    '/ws/monitor': 'global_monitor',
    '/ws/system': 'system',
    '/ws/pipeline/7': 'pipeline_7',
    '/ws/pipeline/7/': 'pipeline_7',
    '/ws/execution/e-1.x': 'execution_e-1.x',
    '/ws/project/p_2': 'project_p_2',
    '/ws/logs/realtime': 'logs_realtime',
    '/ws/anything': 'anything',
  };
  for (const [path, room] of Object.entries(routed)) {
    const one = await connect(path);
    expect(`the greeting of ${path}`, one.greeting.message, `Connected to ${room}`);
    await api('publish', { channel: room, data: { room } });
    await eventually(`the room of ${path}`, () => one.frames, [{ room }]);
    one.socket.close();
    await eventually(`the end of ${path}`, () => one.closed, 1005);
  }
  const words = { '/ws/pipeline/8': 'subscription_confirmed', '/ws/system': 'subscribed' };
  for (const [path, word] of Object.entries(words)) {
    const one = await connect(path);
    one.socket.send(JSON.stringify({ type: 'subscribe', events: ['step'] }));
    await eventually(`subscribe on ${path}`, () => one.frames.map(withoutTimestamp), [
      { type: word, events: ['step'] },
    ]);
    one.socket.close();
  }
  done('node: the routes of ansflow.toml');
}

async function talk() {
  const ann = await connect('/ws/node-talk', [`bearer.${token({ sub: 'node-ann' })}`]);
  const bob = await connect('/ws?room=node-talk&room=node-more');
  expect('who is authenticated', [ann.greeting.authenticated, bob.greeting.authenticated], [true, false]);
  ann.socket.send('{"type":"ping"}');
  await eventually('ping', () => ann.frames.map(withoutTimestamp), [{ type: 'pong' }]);
  ann.frames.length = 0;
  ann.socket.send('{"type":"publish","data":{"text":"grüße\\n"}}');
  await api('publish', { channel: 'node-more', data: 2 });
  await eventually('what a client published', () => ann.frames, [{ text: 'grüße\n' }]);
  await eventually('what two rooms brought', () => bob.frames, [{ text: 'grüße\n' }, 2]);
  await api('publish_user', { user: 'node-ann', data: 'personal' });
  await eventually('the personal room', () => ann.frames[1], 'personal');
  await api('disconnect', { user: 'node-ann', disconnect: { code: 4001, reason: 'enough' } });
  await eventually('the close code of the backend', () => ann.closed, 4001);
  bob.socket.close(1000, 'bye');
  await eventually('the echo of a close', () => bob.closed, 1000);
  done('node: token as subprotocol, ping, publish, close from both sides');
}

async function cutOff() {
  const proxy = await new Proxy().listen();
  const one = follow(proxy.address, 'node-cut');
  await eventually('the position at the join', () => one.since !== undefined, true);
  const expected = [];
  for (let cuts = 0; cuts < CUTS; cuts += 1) {
    for (const until = Date.now() + BETWEEN_CUTS_MS; Date.now() < until; await sleep(20)) {
      await api('publish', { channel: 'node-cut', data: { n: expected.length } });
      expected.push({ n: expected.length });
    }
    cuts % 2 ? proxy.cut() : proxy.cutMidway();
    await api('publish', { channel: 'node-cut', data: 'meanwhile' });
    expected.push('meanwhile');
    await eventually('connections made', () => one.connections, cuts + 2);
  }
  await eventually('every message, once and in order', () => one.received, expected);
  expect('gaps', one.gaps, 0);
  done(`node: cut off ${CUTS} times, ${expected.length} messages arrive`);
}

async function idleInABusyRoom() {
  const one = await connect('/ws/node-busy');
  const expected = [];
  const until = Date.now() + IDLE_S * 1000;
  while (Date.now() < until) {
    await api('publish', { channel: 'node-busy', data: expected.length });
    expected.push(expected.length);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await eventually('every message of a busy room, once and in order', () => one.frames, expected);
  expect('closed within a minute', one.closed, undefined);
  one.socket.close();
  done(`node: ${IDLE_S} s idle in a busy room`);
}

run(async () => {
  const idle = idleInABusyRoom();
  idle.catch(() => {});
  await routes();
  await talk();
  await cutOff();
  await idle;
});
