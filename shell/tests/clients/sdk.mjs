// npm `centrifuge`, unchanged and with its default options, with everything that it sent and was told.
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';
import { address } from './harness.mjs';

const EVENTS = 'connecting connected disconnected error subscribed unsubscribed publication message'.split(' ');

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

export function client(options = {}, { at = address, query = '' } = {}) {
  const { Recorded, log } = recording();
  const url = `ws://${at}/connection/websocket${query}`;
  const centrifuge = new Centrifuge(url, { websocket: Recorded, ...options });
  const events = [];
  for (const name of EVENTS) centrifuge.on(name, (context) => events.push([name, context]));
  const seen = (name) => events.filter(([event]) => event === name).map(([, context]) => context);
  const codes = (name) => seen(name).map(({ code }) => code);
  return { centrifuge, log, seen, codes };
}

// A subscription with everything that it was told.
export function subscribe(centrifuge, channel, options = {}) {
  const subscription = centrifuge.newSubscription(channel, options);
  const heard = { subscription, publications: [], subscribing: [], subscribed: [], ended: [], comings: [] };
  subscription.on('publication', (context) => heard.publications.push(context));
  subscription.on('subscribed', (context) => heard.subscribed.push(context));
  subscription.on('subscribing', (context) => heard.subscribing.push(context.code));
  subscription.on('unsubscribed', (context) => heard.ended.push(context.code));
  for (const name of ['join', 'leave']) subscription.on(name, ({ info }) => heard.comings.push([name, info]));
  subscription.subscribe();
  return heard;
}

// A room that the server subscribed, in the same form.
export function serverSide({ centrifuge }, channel) {
  const heard = { publications: [], subscribed: [], ended: 0 };
  const on = (name, note) => centrifuge.on(name, (context) => context.channel === channel && note(context));
  on('publication', (context) => heard.publications.push(context));
  on('subscribed', (context) => heard.subscribed.push(context));
  on('unsubscribed', () => (heard.ended += 1));
  return heard;
}

// What the server said to each subscribe: whether it was asked to recover, and whether it did.
export const answers = ({ subscribed }) => subscribed.map(({ wasRecovering, recovered }) => [wasRecovering, recovered]);

export const data = (heard) => heard.publications.map((publication) => publication.data);

// The code of the error that a call to the SDK ends with.
export const codeOf = (promise) =>
  promise.then(
    () => 'no error',
    (error) => error.code,
  );
