// What a page does in the plain profile that must not miss anything, without a library.

const LEAST_DELAY_MS = 100;
const MOST_DELAY_MS = 400;

// Follows a room, and comes back with `since` whenever it is cut off. A message counts once its position is there, so
// that one that is cut off between the two does not count twice.
export function follow(at, room, Socket = WebSocket) {
  const heard = { received: [], gaps: 0, connections: 0, since: undefined, socket: undefined };
  const open = () => {
    const since = heard.since ? `&since=${heard.since}` : '';
    const socket = new Socket(`ws://${at}/ws/${room}?greeting=off&positions=on${since}`);
    const messages = [];
    socket.onopen = () => {
      heard.connections += 1;
      heard.socket = socket;
    };
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === 'gap') heard.gaps += 1;
      else if (frame.type !== 'position') messages.push(frame);
      else {
        heard.received.push(...messages.splice(0));
        heard.since = `${frame.epoch}:${frame.offset}`;
      }
    };
    socket.onerror = () => {};
    socket.onclose = () => {
      heard.socket = undefined;
      setTimeout(open, LEAST_DELAY_MS + Math.random() * (MOST_DELAY_MS - LEAST_DELAY_MS));
    };
  };
  open();
  return heard;
}
