// One room: its members, its log, what is published now, and a form to publish.
import { call } from './api.js';
import { count, element, repeat, shortId, table } from './dom.js';
import { listen } from './live.js';
import { messageList } from './messages.js';

const HISTORY = 50;
const PAUSE = 5000;
const MEMBERS = 100;
// A room of so many is listed by itself, again and again. Of a larger one, only the numbers are asked for.
const LISTED = 500;

export function room(root, { name }) {
  const members = memberList(name);
  const messages = messageList(HISTORY, (before) => read(before));
  const publishing = publishForm(name);
  const state = element('p', { className: 'state small muted', role: 'status' });
  const error = element('p', { className: 'error' });
  const isPersonal = name.startsWith('#');

  const read = async (since) => {
    try {
      const query = { channel: name, limit: HISTORY, reverse: true, ...(since ? { since } : {}) };
      messages.addLog(await call('history', query));
      error.textContent = '';
    } catch (refused) {
      error.textContent = refused.message;
    }
  };

  root.append(
    element('div', { className: 'head' }, element('h2', { tabIndex: -1 }, name), element('a', { href: '#rooms' }, 'All rooms')),
    element(
      'div',
      { className: 'split' },
      element('section', { className: 'card' }, element('div', { className: 'head' }, element('h3', {}, 'Messages'), state), messages.place, error, messages.root),
      element('div', { className: 'stack' }, publishing, members.root),
    ),
  );
  const stops = [repeat(members.load, PAUSE)];
  if (isPersonal) {
    state.textContent = 'Only the connections of its user hear a personal room: this is its log.';
    stops.push(repeat(() => read(null), PAUSE));
  } else {
    const joined = () => {
      read(null);
      members.load();
    };
    const show = (of, why) => {
      state.dataset.state = of;
      state.textContent = of === 'live' ? 'live' : why;
      // Who may not listen may still read.
      if (of === 'refused') read(null);
    };
    stops.push(listen(name, { joined, message: messages.addLive, position: messages.placeLive, state: show }));
  }
  return { stop: () => stops.forEach((stop) => stop()) };
}

function memberList(name) {
  const about = element('p', { className: 'muted small' });
  const error = element('p', { className: 'error' });
  const filter = element('input', { type: 'search', autocomplete: 'off', spellcheck: false });
  const narrow = element('label', { hidden: true }, element('span', {}, 'Filter'), filter);
  const ask = element('button', { type: 'button', className: 'quiet', hidden: true });
  const list = table([
    { name: 'User', cell: ({ user, info }) => (user ? user : info?.console === true ? 'a console' : 'no user') },
    { name: 'Connection', cell: ({ client }) => shortId(client) },
  ]);
  let known = null;
  let numbers = '';
  const show = () => {
    const wanted = filter.value.trim().toLowerCase();
    const found = (known ?? []).filter(({ user, client }) => user.toLowerCase().includes(wanted) || client.startsWith(wanted));
    list.show(found.slice(0, MEMBERS));
    list.root.hidden = found.length === 0;
    narrow.hidden = known === null;
    const shown = found.length > MEMBERS ? `, the first ${MEMBERS} of ${count(found.length)} shown` : '';
    about.textContent = `${numbers}${shown}`;
  };
  const read = async () => {
    const { presence } = await call('presence', { channel: name });
    known = Object.entries(presence).map(([client, { user, conn_info: info }]) => ({ client, user, info }));
    known.sort((one, other) => one.user.localeCompare(other.user) || one.client.localeCompare(other.client));
  };
  const load = async (isAsked) => {
    try {
      const { num_clients: members, num_users: users } = await call('presence_stats', { channel: name });
      numbers = `connections ${count(members)} · users ${count(users)}`;
      const isLarge = members > LISTED;
      if (!isLarge || isAsked) await read();
      ask.hidden = !isLarge;
      ask.textContent = known === null ? `List ${count(members)} members` : 'List them again';
      error.textContent = '';
      show();
    } catch (refused) {
      error.textContent = refused.message;
    }
  };
  filter.addEventListener('input', show);
  const head = element('div', { className: 'head' }, element('h3', {}, 'Members'), about);
  ask.addEventListener('click', () => load(true));
  const root = element('section', { className: 'card' }, head, narrow, ask, error, list.root);
  return { root, load: () => load(false) };
}

function publishForm(name) {
  const text = element('textarea', { required: true, spellcheck: false, value: '{"text": "hello"}' });
  const done = element('p', { className: 'note muted small', role: 'status' });
  const error = element('p', { className: 'error', role: 'alert' });
  const publish = async (event) => {
    event.preventDefault();
    done.textContent = '';
    error.textContent = '';
    try {
      const { offset } = await call('publish', { channel: name, data: asData(text.value) });
      done.textContent = offset > 0 ? `Published at offset ${offset}.` : 'Published; the log does not keep it.';
    } catch (refused) {
      error.textContent = refused.message;
    }
  };
  const form = element(
    'form',
    { className: 'card', on: { submit: publish } },
    element('h3', {}, 'Publish'),
    element('label', {}, element('span', {}, 'JSON, or else text'), text),
    element('div', { className: 'row middle' }, element('button', { type: 'submit' }, 'Publish'), element('span', { className: 'muted small' }, 'or Ctrl and Enter')),
    done,
    error,
  );
  text.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  return form;
}

function asData(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
