// A thousand clients that do all that clients do: SDKs and plain ones in one room, who are cut off and recover, come and go in
// others, publish and ask; and beside them some that end in every way in which a connection ends.
import { randomUUID } from 'node:crypto';
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';
import { follow } from './follower.mjs';
import { api, now, sleep, token } from './harness.mjs';

export const ROOM = 'crowd';
// What nobody may find in the log. Every payload, info and tag has it.
export const WORDS = 'words that are nobody elses business';
// The options of the server by which each way to end takes seconds.
export const OPTIONS = [
  ...['--connections-per-user', '3', '--rooms-per-connection', '16', '--authenticate-timeout', '5s'],
  ...['--ping-interval', '5s', '--pong-timeout', '3s', '--message-timeout', '2s', '--write-timeout', '3s'],
  ...['--expiry-grace', '1s', '--token-leeway', '0s', '--client-frames', '100/s burst 200'],
];
const EACH = 500;
const ROOMS = 50;
const CUTS_PER_SECOND = 40;
const PUBLICATIONS_PER_SECOND = 10;

const pick = (list) => list[Math.floor(Math.random() * list.length)];
const large = () => ({ type: 'chat', text: WORDS.repeat(1600) });
const said = (text) => ({ type: 'chat', text: `${WORDS} ${text}` });
const tokenOf = (sub, claims = {}) => token({ sub, exp: now() + 3600, info: { name: WORDS }, jti: randomUUID(), ...claims });

// One of the crowd. Each third has no user; all are in the room, and some are told who comes and goes.
function sdk(address, n) {
  const one = { socket: undefined, centrifuge: undefined, others: [] };
  class Noted extends WebSocket {
    constructor(...args) {
      super(...args);
      this.on('open', () => (one.socket = this));
      this.on('close', () => (one.socket = undefined));
    }
  }
  const identity = n % 3 === 0 ? {} : { token: tokenOf(`user ${n}`) };
  one.centrifuge = new Centrifuge(`ws://${address}/connection/websocket`, { websocket: Noted, ...identity });
  one.room = one.centrifuge.newSubscription(ROOM, { joinLeave: n % 50 === 0 });
  one.room.subscribe();
  one.centrifuge.connect();
  return one;
}

// A moment of an SDK: it joins or leaves another room, publishes, or asks. What is refused for its rate is refused.
async function stir({ centrifuge, room }) {
  const name = `room ${Math.floor(Math.random() * ROOMS)}`;
  const known = centrifuge.getSubscription(name);
  const acts = [
    () => room.publish(said('by an SDK')),
    () => room.history({ limit: 5 }),
    () => room.presenceStats(),
    () => known ? centrifuge.removeSubscription(known) : centrifuge.newSubscription(name, { data: said('to join') }).subscribe(),
    () => known?.publish(said('elsewhere')),
  ];
  await pick(acts)();
}

function stirPlain({ socket }, n) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  const room = `room ${n % ROOMS}`;
  const acts = [{ type: 'subscribe', room }, { type: 'publish', room: ROOM, data: said('by a plain client') }, { type: 'unsubscribe', room }, { type: 'ping' }];
  socket.send(JSON.stringify(pick(acts)));
}

// Calls of a backend, of every method that changes or reads something.
function calls(n) {
  const user = `user ${n % 100}`;
  const [data, channel] = [said(`by call ${n}`), `room ${n % ROOMS}`];
  return [
    ['broadcast', { channels: [channel, `room ${(n + 1) % ROOMS}`], data, tags: { tag: WORDS } }],
    ['publish', { channel, data, idempotency_key: `key ${n >> 1}` }],
    ['publish_user', { user, data }],
    ['publish_all', { data }],
    ['subscribe', { user, channel, recover_since: { epoch: '', offset: 0 } }],
    ['unsubscribe', { user, channel }],
    ['refresh', { user, expire_at: now() + 600 }],
    ['revoke_token', { uid: `no token ${n}` }],
    ['invalidate_user_tokens', { user: `nobody ${n}` }],
    ['batch', { commands: [{ publish: { channel, data } }, { presence: { channel } }, { history: { channel, limit: 10 } }] }],
    ['presence', { channel: ROOM }],
    ['history_remove', { channel }],
    ['channels', { limit: 10 }],
    ['connections', { limit: 10 }],
    ['limits', {}],
  ];
}

const plain = (address, query, options) => {
  const socket = new WebSocket(`ws://${address}/ws?${query}`, options);
  socket.on('error', () => {});
  return socket;
};
const json = (address) => {
  const socket = new WebSocket(`ws://${address}/connection/websocket`);
  socket.on('error', () => {});
  return socket;
};
const opened = (socket) => new Promise((resolve) => socket.once('open', resolve));
const raw = (socket, bytes) => socket._socket.write(Buffer.from(bytes));

// Every way to end that takes its own doing, by the name that the server counts it by.
const ENDS = {
  peer_close: async (address) => {
    const socket = plain(address, 'room=ends');
    await opened(socket);
    socket.close(1000);
  },
  peer_eof: async (address) => {
    const socket = plain(address, 'room=ends');
    await opened(socket);
    socket._socket.end();
  },
  peer_reset: async (address) => {
    const socket = plain(address, 'room=ends');
    await opened(socket);
    socket._socket.resetAndDestroy();
  },
  protocol_error: async (address) => {
    const socket = plain(address, 'room=ends');
    await opened(socket);
    raw(socket, [0xf1, 0x80, 0, 0, 0, 0]);
  },
  binary_message: async (address) => {
    const socket = plain(address, 'room=ends');
    await opened(socket);
    socket.send(Buffer.from([1, 2, 3]));
  },
  invalid_utf8: async (address) => {
    const socket = plain(address, 'room=ends');
    await opened(socket);
    socket.send(Buffer.from([0xff]), { binary: false });
  },
  message_too_large: async (address) => {
    const socket = plain(address, 'room=ends');
    await opened(socket);
    socket.send(WORDS.repeat(6000));
  },
  bad_request: async (address) => {
    const socket = json(address);
    await opened(socket);
    socket.send(`{"id":1,"connect":${JSON.stringify(WORDS)}`);
  },
  invalid_token: async (address) => {
    const socket = json(address);
    await opened(socket);
    socket.send(JSON.stringify({ id: 1, connect: { token: token({ sub: 'eve' }, 'another-secret-another-secret-another') } }));
  },
  token_revoked: async (address) => {
    const jti = randomUUID();
    await opened(plain(address, `room=ends&token=${tokenOf('revoked', { jti })}`));
    await sleep(200);
    await api('revoke_token', { uid: jti }, address);
  },
  expired: async (address) => {
    await opened(plain(address, `room=ends&token=${tokenOf(randomUUID(), { exp: now() + 1 })}`));
  },
  backend: async (address) => {
    const user = randomUUID();
    await opened(plain(address, `room=ends&token=${tokenOf(user)}`));
    await sleep(200);
    await api('disconnect', { user, disconnect: { code: 4001, reason: 'go' } }, address);
  },
  too_many_rooms: async (address) => {
    const channels = Array.from({ length: 17 }, (_, n) => `of a token ${n}`);
    await opened(plain(address, `room=ends&token=${tokenOf('everywhere', { channels })}`));
  },
  user_connections: async (address) => {
    const same = tokenOf('popular');
    for (let n = 0; n < 4; n += 1) await opened(plain(address, `room=ends&token=${same}`));
  },
  stale: async (address) => opened(json(address)),
  no_pong: async (address) => opened(plain(address, 'room=ends', { autoPong: false })),
  unfinished_message: async (address) => {
    const socket = plain(address, 'room=ends');
    await opened(socket);
    raw(socket, [0x81, 0xfe, 0x01, 0x00, 0, 0, 0, 0, 0x7b]);
  },
  too_many_requests: async (address) => {
    const socket = plain(address, 'room=ends');
    await opened(socket);
    for (let n = 0; n < 400; n += 1) socket.send('{"type":"ping"}');
  },
  slow_consumer: async (address) => {
    const room = `unread ${randomUUID()}`;
    const socket = plain(address, `room=${room}`);
    await opened(socket);
    socket.pause();
    // More than the system takes for a socket, and the outbox.
    for (let n = 0; n < 150 && socket.readyState === WebSocket.OPEN; n += 1) await api('publish', { channel: room, data: large() }, address);
  },
};
// Those that cost much happen once.
const TIMES = { slow_consumer: 1 };
const SOME_TIMES = 5;
const SLOW_READERS = 5;

// The load, until it is stopped.
export class MixedLoad {
  constructor(address) {
    this.address = address;
    this.sdks = Array.from({ length: EACH }, (_, n) => sdk(address, n));
    this.slow = Array.from({ length: SLOW_READERS }, () => plain(address, 'room=large'));
    this.plain = Array.from({ length: EACH }, () => follow(address, ROOM, WebSocket));
    this.cuts = 0;
    this.calls = 0;
    this.expectedEnds = Object.keys(ENDS);
  }

  get clients() {
    return 2 * EACH;
  }

  // Runs for so many milliseconds.
  async run(ms) {
    const until = performance.now() + ms;
    await Promise.all([
      this.#repeat(until, 1000 / PUBLICATIONS_PER_SECOND, (n) => this.#call('publish', { channel: ROOM, data: said(`to all ${n}`) })),
      this.#repeat(until, 100, (n) => this.#backend(n)),
      this.#repeat(until, 20, () => stir(pick(this.sdks)).catch(() => {})),
      this.#repeat(until, 20, (n) => stirPlain(pick(this.plain), n)),
      this.#repeat(until, 1000 / CUTS_PER_SECOND, () => this.#cut()),
      this.#repeat(until, 200, () => this.#call('publish', { channel: 'large', data: large() })),
      this.#repeat(until, 1000, (n) => this.slow.forEach((socket, at) => ((n + at) % 3 === 0 ? socket.resume() : socket.pause()))),
      ...this.expectedEnds.map((name) => this.#end(name, until)),
    ]);
  }

  async #repeat(until, pause, act) {
    for (let n = 0; performance.now() < until; n += 1) {
      await act(n);
      await sleep(pause);
    }
  }

  async #call(method, body) {
    this.calls += 1;
    return api(method, body, this.address);
  }

  async #backend(n) {
    const all = calls(n);
    await this.#call(...all[n % all.length]);
  }

  #cut() {
    const one = pick([...this.sdks, ...this.plain].filter(({ socket }) => socket));
    one?.socket.terminate();
    if (one) this.cuts += 1;
  }

  // Some of each end, spread over a part of the time.
  async #end(name, until) {
    const times = TIMES[name] ?? SOME_TIMES;
    const pause = (until - performance.now()) / 2 / times;
    for (let n = 0; n < times; n += 1) {
      await sleep(pause * Math.random() * 2);
      await Promise.race([ENDS[name](this.address), sleep(5000)]);
    }
  }
}
