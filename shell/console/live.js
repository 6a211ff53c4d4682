// Listens to a room over a WebSocket, for as long as the page wants to. Each connection needs a ticket of its own.
import { call } from './api.js';

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30000;

// Calls `joined` when the room is listened to (again), `message` with the text of each message, `position` with the place of
// the last one, and `state` with 'live', 'waiting' or 'refused' and a reason.
export function listen(room, { joined, message, position, state }) {
  let socket = null;
  let timer = null;
  let pause = FIRST_PAUSE;
  let isClosed = false;

  const again = (why) => {
    if (isClosed) return;
    state('waiting', why);
    timer = setTimeout(connect, pause * (0.5 + Math.random()));
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  };

  const receive = (text) => {
    const frame = read(text);
    if (frame?.type === 'connection') {
      pause = FIRST_PAUSE;
      state('live', '');
      joined();
    } else if (isPosition(frame, room)) {
      position(frame);
    } else {
      message(text);
    }
  };

  async function connect() {
    let ticket;
    try {
      ({ ticket } = await call('console_ticket', { channel: room }));
    } catch (refused) {
      const isFinal = refused.status >= 400 && refused.status < 500 && refused.status !== 413;
      return isFinal ? state('refused', refused.message) : again(refused.message);
    }
    if (isClosed) return;
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    socket = new WebSocket(`${scheme}://${location.host}/console/websocket`, ['parlor-console', `ticket.${ticket}`]);
    let isGreeted = false;
    socket.onmessage = ({ data }) => {
      // The greeting comes first; what looks like it later is somebody's message.
      if (isGreeted && read(data)?.type === 'connection') return message(data);
      isGreeted = true;
      receive(data);
    };
    socket.onclose = ({ code, reason }) => again(reason ? `${reason} (${code})` : `the connection ended (${code})`);
  }

  state('waiting', 'connecting');
  connect();
  return () => {
    isClosed = true;
    clearTimeout(timer);
    if (socket) socket.onclose = null;
    socket?.close();
  };
}

// What a frame says, where it is JSON.
function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isPosition(frame, room) {
  return frame?.type === 'position' && frame.room === room && Number.isInteger(frame.offset) && Object.keys(frame).length === 4;
}
