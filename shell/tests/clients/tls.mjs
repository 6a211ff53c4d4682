// npm `centrifuge` over TLS: says that it has subscribed, and then what the first three publications were.
import { Centrifuge } from 'centrifuge';
import WebSocket from 'ws';

const centrifuge = new Centrifuge(`wss://${process.argv[2]}/connection/websocket`, { websocket: WebSocket });
const subscription = centrifuge.newSubscription('room');
const heard = [];
subscription.on('subscribed', () => console.log('subscribed'));
subscription.on('publication', ({ data }) => {
  heard.push(data.length > 100 ? data.length : data);
  if (heard.length === 3) {
    console.log(JSON.stringify(heard));
    centrifuge.disconnect();
  }
});
subscription.subscribe();
centrifuge.connect();
