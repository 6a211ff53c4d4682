// Who is connected, who is slow, and who was closed and why.
import { call } from './api.js';
import { bytes, count, duration, element, repeat, table, time } from './dom.js';
import { linkToConnection } from './explain.js';
import { pages } from './pages.js';
import { linkToRoom } from './rooms.js';

const CONNECTIONS_PER_PAGE = 50;
const ROOMS = 5;
const PAUSE = 3000;
const TYPING_PAUSE = 150;

const userOf = ({ user, console: isConsole }) => user || element('span', { className: 'muted' }, isConsole ? 'a console' : 'no user');

export function connections(root) {
  const slow = listCard('Slowest', 'What waits until their sockets take it.', 'Nothing waits: every client takes what it is sent.', [
    { name: 'Connection', cell: ({ client }) => linkToConnection(client) },
    { name: 'User', cell: userOf },
    { name: 'Protocol', cell: ({ protocol }) => protocol },
    { name: 'Frames', isNumber: true, cell: ({ frames }) => count(frames) },
    { name: 'Waiting', isNumber: true, cell: ({ bytes: waiting }) => bytes(waiting) },
    { name: 'Socket', cell: ({ blocked }) => (blocked ? 'full' : 'takes bytes') },
  ]);
  const closed = listCard('Last closes', 'The newest first.', 'No connection has ended yet.', [
    { name: 'Time', cell: ({ time_ms: at }) => time(at) },
    { name: 'Connection', cell: ({ client }) => linkToConnection(client) },
    { name: 'User', cell: userOf },
    { name: 'Address', cell: ({ address }) => address },
    { name: 'Cause', cell: ({ cause, reason }) => element('span', { title: reason }, cause.replaceAll('_', ' ')) },
    { name: 'Code', isNumber: true, cell: ({ code }) => code },
    { name: 'Was there for', isNumber: true, cell: ({ seconds }) => duration(seconds) },
  ]);
  const all = everyConnection();
  root.append(slow.root, all.root, closed.root);
  const load = () =>
    Promise.all([
      slow.load(async () => (await call('outboxes')).connections),
      closed.load(async () => (await call('closes')).closes),
      all.load(),
    ]);
  return { stop: repeat(load, PAUSE) };
}

// A card with a table of what `load` brings.
function listCard(name, words, nothing, columns) {
  const list = table(columns);
  const error = element('p', { className: 'error' });
  const empty = element('p', { className: 'muted', hidden: true }, nothing);
  const head = element('div', { className: 'head' }, element('h2', {}, name), element('p', { className: 'muted small' }, words));
  const root = element('section', { className: 'card' }, head, error, empty, list.root);
  const load = async (read) => {
    try {
      const items = await read();
      error.textContent = '';
      list.show(items);
      list.root.hidden = items.length === 0;
      empty.hidden = items.length > 0;
    } catch (refused) {
      error.textContent = refused.message;
    }
  };
  return { root, load };
}

function everyConnection() {
  const filter = element('input', { type: 'search', autocomplete: 'off', spellcheck: false });
  const error = element('p', { className: 'error' });
  const empty = element('p', { className: 'muted', hidden: true }, 'No connection.');
  const list = table([
    { name: 'Connection', cell: ([client]) => linkToConnection(client) },
    { name: 'User', cell: ([, connection]) => userOf(connection) },
    { name: 'Protocol', cell: ([, { protocol }]) => protocol },
    { name: 'Rooms', cell: ([, { channels }]) => roomLinks(channels) },
  ]);
  const paged = pages({
    method: 'connections',
    field: 'connections',
    limit: CONNECTIONS_PER_PAGE,
    show: (items) => {
      list.show(items);
      list.root.hidden = items.length === 0;
      empty.hidden = items.length > 0;
    },
    failed: (why) => {
      error.textContent = why;
    },
  });
  let typing = null;
  filter.addEventListener('input', () => {
    clearTimeout(typing);
    typing = setTimeout(() => paged.begin(filter.value ? { user: filter.value } : {}), TYPING_PAUSE);
  });
  const head = element('div', { className: 'head' }, element('h2', {}, 'Connections'), paged.root);
  const root = element('section', { className: 'card' }, head, element('label', {}, element('span', {}, 'Of this user'), filter), error, empty, list.root);
  return { root, load: paged.load };
}

function roomLinks(names) {
  const links = names.slice(0, ROOMS).flatMap((name) => [linkToRoom(name), ' ']);
  const more = names.length > ROOMS ? `and ${count(names.length - ROOMS)} more` : '';
  return element('span', {}, ...links, more);
}
