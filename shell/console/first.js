// A first message, for who has just started the server: the page listens to a room and publishes to it, and shows how a
// terminal and a page of one's own do the same.
import { call } from './api.js';
import { element } from './dom.js';
import { listen } from './live.js';

export function firstMessage(key) {
  const room = element('input', { value: 'lobby', required: true, autocomplete: 'off', spellcheck: false });
  const text = element('input', { value: 'hello', autocomplete: 'off' });
  const state = element('p', { className: 'state small muted', role: 'status' });
  const error = element('p', { className: 'error', role: 'alert' });
  const arrived = element('ol', { className: 'arrived', role: 'log', 'aria-label': 'Messages that arrived' });
  const curl = codeBlock();
  const script = codeBlock();
  let stop = () => {};
  // Where the place of the last message is to be written, until it is known.
  let place = null;

  const follow = () => {
    stop();
    arrived.replaceChildren();
    stop = listen(room.value, {
      joined: () => {},
      position: ({ offset }) => {
        place?.replaceChildren(`at offset ${offset}`);
        place = null;
      },
      message: (data) => {
        place = element('span', { className: 'place muted small' });
        arrived.prepend(element('li', {}, element('code', {}, data), ' ', place));
        while (arrived.children.length > 5) arrived.lastElementChild.remove();
      },
      state: (name, why) => {
        state.dataset.state = name;
        state.textContent = name === 'live' ? `This page listens to the room ${room.value}.` : why;
      },
    });
  };
  const write = () => {
    const body = JSON.stringify({ channel: room.value, data: text.value }).replaceAll("'", "'\\''");
    curl.show(`curl -H 'X-API-Key: ${key}' -d '${body}' ${location.origin}/api/publish`);
    const url = `${location.origin.replace(/^http/, 'ws')}/ws/${encodeURIComponent(room.value)}`;
    script.show(`const socket = new WebSocket(${JSON.stringify(url)});\nsocket.onmessage = (message) => console.log(message.data);`);
  };
  const send = async (event) => {
    event.preventDefault();
    error.textContent = '';
    try {
      await call('publish', { channel: room.value, data: text.value });
    } catch (refused) {
      error.textContent = refused.message;
    }
  };
  room.addEventListener('change', follow);
  room.addEventListener('input', write);
  text.addEventListener('input', write);
  const fields = element(
    'div',
    { className: 'row' },
    element('label', { className: 'grow' }, element('span', {}, 'Room'), room),
    element('label', { className: 'grow' }, element('span', {}, 'Message'), text),
    element('button', { type: 'submit' }, 'Send'),
  );
  const root = element(
    'form',
    { className: 'card', id: 'first', on: { submit: send } },
    element('h2', {}, 'Send a first message'),
    fields,
    state,
    error,
    arrived,
    element('h3', {}, 'The same from a terminal'),
    curl.root,
    element('h3', {}, 'And a page of your own that listens'),
    script.root,
  );
  write();
  follow();
  return { root, stop: () => stop() };
}

// A block of code, with a button that copies it.
function codeBlock() {
  const code = element('code');
  const copy = element('button', { type: 'button', className: 'quiet' }, 'Copy');
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      copy.textContent = 'Copied';
    } catch {
      getSelection().selectAllChildren(code);
      copy.textContent = 'Selected';
    }
    setTimeout(() => copy.replaceChildren('Copy'), 2000);
  });
  const root = element('div', { className: 'code' }, element('pre', {}, code), copy);
  return { root, show: (text) => code.replaceChildren(text) };
}
